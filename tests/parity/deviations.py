"""Where this server answers otherwise than Triton on purpose, and why; any other difference fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """What this server answers instead, or how that begins, and the reason."""

    ours: str
    reason: str


HASH_ORDER = "Triton takes inputs in the order of a hash table; this server in the order of the request."
PRIVATE = "Triton sends the backend's traceback; the inside of this server stays in its log."
ABSENT = "This server does not have the extension, and does not announce it in ServerMetadata."
ANEW = "Triton makes an ensemble anew when a model of its steps comes back; here it goes on, with its counts."
REASON = "Triton says that a poll failed; this server says what is wrong."
NOBODYS = "Triton counts warm-ups as inferences; here they are nobody's requests."
WARM_UP = "Triton tells what is wrong with a request that nobody has sent; this server, what with the configuration."
COME_AGAIN = "Triton calls a model that is being loaded not found; UNAVAILABLE invites the caller to come again."

# Triton answers an ensemble's request with these, at zero, though nobody asked; here it is answered like any other.
UNASKED_PARAMETERS = ("sequence_id", "sequence_start", "sequence_end")

DEVIATIONS = {
    "infer: an input too many": Deviation(
        "INVALID_ARGUMENT: [request id: r7] expected 1 inputs but got 2 inputs for model 'pixels'. Got input(s)"
        " ['INPUT__0','OTHER'], but missing required input(s) []. Please provide all required input(s).",
        f"{HASH_ORDER} And Triton loses a bracket.",
    ),
    "infer: inputs of different rows": Deviation(
        "INVALID_ARGUMENT: [request id: r7] input 'INPUT__1' batch size does not match other inputs for 'tensors'",
        HASH_ORDER,
    ),
    "infer: different rows, wrong size": Deviation(
        "INVALID_ARGUMENT: [request id: r7] input 'INPUT__1' batch size does not match other inputs for 'tensors'",
        HASH_ORDER,
    ),
    "infer: classification 4294967296": Deviation(
        'model_name: "pixels"\nmodel_version: "1"\nid: "r7"\noutputs {\n  name: "OUTPUT__0"\n  datatype: "BYTES"\n'
        "  shape: 1\n  shape: 5\n",
        "Triton keeps the lower 32 bits of the number of classes and answers with none.",
    ),
    "infer: no rows but data": Deviation(
        "INVALID_ARGUMENT: [request id: r7] inference request batch-size must be >= 1 for 'pixels'",
        "Triton hands the model a tensor that lacks its batch dimension, which harms the batch it lands in.",
    ),
    "infer: an input in shared memory": Deviation("UNIMPLEMENTED: shared memory is not supported", ABSENT),
    "infer: an output in shared memory": Deviation("UNIMPLEMENTED: shared memory is not supported", ABSENT),
    "infer: work that fails": Deviation("INTERNAL: the model failed on this request", PRIVATE),
    "stream: a request that fails": Deviation('error_message: "the model failed on this request"', PRIVATE),
    "server: metadata": Deviation('name: "coordserve"', "Each server tells its own name, version and extensions."),
    "server: health of 'other'": Deviation(
        "NOT_FOUND: ", "gRPC's health protocol asks for NOT_FOUND; Triton ignores the name of the service."
    ),
    "server: shared memory": Deviation("UNIMPLEMENTED: ", ABSENT),
    "server: CUDA shared memory": Deviation("UNIMPLEMENTED: ", ABSENT),
    "server: trace settings": Deviation("UNIMPLEMENTED: ", ABSENT),
    "server: log settings": Deviation("UNIMPLEMENTED: ", ABSENT),
    "control: load an unknown model": Deviation(
        "INVALID_ARGUMENT: load failed for model 'other': no directory", REASON
    ),
    "control: load no model": Deviation("INVALID_ARGUMENT: load failed for model '': no directory", REASON),
    "control: load with a config that is no JSON": Deviation(
        "INVALID_ARGUMENT: load failed for model 'tensors': config override", REASON
    ),
    "control: load a broken model": Deviation("INVALID_ARGUMENT: load failed for model 'broken': model.pt", PRIVATE),
    "counts: failed": Deviation(
        "fail +1\nnv_inference_request_failure_total BACKEND +1\n",
        "A batch that failed is tried again one by one: its executions would spoil the mean size of batches.",
    ),
    "failed: index": Deviation(
        'models {\n  name: "broken"\n  version: "1"\n  state: "UNAVAILABLE"\n  reason: "model.pt', PRIVATE
    ),
    "ensemble: an exception": Deviation("INTERNAL: the model failed on this request", PRIVATE),
    "ensemble counts: a broken image": Deviation(
        "classify_image: fail +1\nclassify_image: nv_inference_request_failure_total OTHER +1\n"
        "decode_image: batches of 1: compute_infer +1\n",
        "Triton counts the ensemble's failure twice, and the step's as a success, since the step answered.",
    ),
    **{
        f"ensemble control: statistics after load {name}": Deviation(
            'model_stats {\n  name: "outer"\n  version: "1"\n  last_inference: 1\n', ANEW
        )
        for name in ("decode_image", "classify_image")
    },
    "warm-up: load with a warm-up without an input": Deviation(
        "INVALID_ARGUMENT: load failed for model 'warm_nothing': model_warmup has no input INPUT__0", WARM_UP
    ),
    "warm-up: load with a warm-up of another type": Deviation(
        "INVALID_ARGUMENT: load failed for model 'warm_type': model_warmup: input \"INPUT__0\" has TYPE_INT32", WARM_UP
    ),
    "warm-up: load with a warm-up whose file is short": Deviation(
        "INVALID_ARGUMENT: load failed for model 'warm_file': model_warmup: input \"INPUT__0\" needs 4 bytes", WARM_UP
    ),
    "warm-up: statistics": Deviation(
        'model_stats {\n  name: "warm"\n  version: "1"\n  inference_stats {\n    success {\n    }', NOBODYS
    ),
    "loading: infer with version ''": Deviation(
        "UNAVAILABLE: Request for unknown model: 'waiting' has no available versions: it is being loaded", COME_AGAIN
    ),
    "loading: metadata": Deviation(
        "UNAVAILABLE: Request for unknown model: 'waiting' has no available versions: it is being loaded", COME_AGAIN
    ),
}
