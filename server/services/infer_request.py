"""From a ModelInferRequest to what the batcher takes: everything is checked before anything is queued.

Codes and texts are Triton's, so that clients that look at them work with either server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from server.errors import InvalidRequest
from server.services.parameters import (
    check_no_shared_memory,
    check_request_parameters,
    classification_count,
    timeout_seconds,
)
from server.tensor_types import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.model_config import ModelConfig
    from server.services.wire import InferMessage
    from server.tensor_types import TensorSpec

# Field of InferTensorContents -> the type Triton calls it, and the data types that may travel in it.
_CONTENTS = {
    "bool_contents": ("BOOL", ("BOOL",)),
    "int_contents": ("INT32", ("INT8", "INT16", "INT32")),
    "int64_contents": ("INT64", ("INT64",)),
    "uint_contents": ("UINT32", ("UINT8", "UINT16", "UINT32")),
    "uint64_contents": ("UINT64", ("UINT64",)),
    "fp32_contents": ("FP32", ("FP32",)),
    "fp64_contents": ("FP64", ("FP64",)),
    "bytes_contents": ("BYTES", ("BYTES",)),
}
_BATCH_DIMENSION_NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each"
    " input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting"
    " max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)


class Inference(NamedTuple):
    """A request that can be executed.

    `payload` has one buffer for each input of the model, in the order of its config; `outputs` tells which outputs to
    send, by position, and how many classes of each (0: the tensor itself).
    """

    payload: tuple[bytes | memoryview, ...]
    rows: int
    outputs: Sequence[tuple[int, int]]
    timeout_seconds: float


def id_prefix(request: Any) -> str:
    """What Triton puts before the texts of errors that it finds after parsing."""
    return f"[request id: {request.id or '<id_unknown>'}] "


def read_infer_request(message: InferMessage, config: ModelConfig) -> Inference:
    """Check a request against the model's facts.

    Raises:
        InvalidRequest, Unsupported: it can never succeed as it stands.
    """
    request = message.request
    timeout = 0.0
    if request.parameters:
        check_request_parameters(request.parameters)
        timeout = timeout_seconds(request.parameters)
    data = _input_data(message, config)
    outputs = _requested_outputs(request, config)
    _check_input_names(request.inputs, config)
    try:
        rows = _check_inputs(request.inputs, data, config)
    except InvalidRequest as error:
        raise InvalidRequest(id_prefix(request) + str(error)) from None
    payload = tuple(data[spec.name] for spec in config.inputs)
    return Inference(payload, rows, outputs, timeout)


def _requested_outputs(request: Any, config: ModelConfig) -> Sequence[tuple[int, int]]:
    names = [spec.name for spec in config.outputs]
    if not request.outputs:
        return [(position, 0) for position in range(len(names))]
    requested: dict[int, int] = {}
    for output in request.outputs:
        if output.name not in names:
            raise InvalidRequest(f"unexpected inference output '{output.name}' for model '{config.name}'")
        if output.parameters:
            check_no_shared_memory(output)
        position = names.index(output.name)
        requested[position] = classification_count(output)
        if requested[position]:
            _check_classifiable(config.outputs[position])
    return sorted(requested.items())


def _check_classifiable(spec: TensorSpec) -> None:
    if spec.datatype in ("BOOL", "FP16", "BF16"):
        raise InvalidRequest(f"class result not available for output due to unsupported type '{spec.datatype}'")


def _input_data(message: InferMessage, config: ModelConfig) -> dict[str, bytes | memoryview]:
    """The bytes of each input that the request brings, by name."""
    request = message.request
    data: dict[str, bytes | memoryview] = {}
    raw = iter(message.raw)
    for tensor in request.inputs:
        if tensor.parameters:
            check_no_shared_memory(tensor)
        if tensor.name in data:
            raise InvalidRequest(f"{id_prefix(request)}input '{tensor.name}' already exists in request")
        typed = tensor.HasField("contents")
        if message.raw and typed:
            raise InvalidRequest(
                "contents field must not be specified when using raw_input_contents for"
                f" '{tensor.name}' for model '{config.name}'"
            )
        content = _typed_data(tensor, config) if typed else next(raw, None)
        if content is None:
            raise InvalidRequest(
                f"unable to find data for input tensor '{tensor.name}' for model '{config.name}' in request."
            )
        data[tensor.name] = content
    return data


def _check_input_names(tensors: Sequence[Any], config: ModelConfig) -> None:
    names = [spec.name for spec in config.inputs]
    if len(tensors) != len(names):
        return  # another error, and another text
    for tensor in tensors:
        if tensor.name not in names:
            raise InvalidRequest(f"unexpected inference input '{tensor.name}' for model '{config.name}'")


def _typed_data(tensor: Any, config: ModelConfig) -> bytes:
    """The bytes of a tensor that came as `contents`, a list of numbers."""
    data = b""
    declared = tensor.datatype if tensor.datatype in DATATYPES or tensor.datatype == "BYTES" else "<invalid>"
    for name, (kind, accepted) in _CONTENTS.items():
        values = getattr(tensor.contents, name)
        if not values:
            continue
        if declared not in accepted:
            raise InvalidRequest(
                f"unexpected explicit tensor data for input tensor '{tensor.name}' for model '{config.name}' of type"
                f" '{kind}', expected datatype '{declared}'"
            )
        if declared != "BYTES":  # which no model here takes; the data type is refused later
            data = np.array(values, DATATYPES[kind]).astype(DATATYPES[declared]).tobytes()
    return data


def _check_inputs(tensors: Sequence[Any], data: dict[str, bytes | memoryview], config: ModelConfig) -> int:
    """Check that the inputs are the model's; return their number of rows."""
    if len(tensors) != len(config.inputs):
        raise InvalidRequest(_wrong_count(data, config))
    specs = {spec.name: spec for spec in config.inputs}
    batch = tensors[0].shape[0] if config.batches and tensors[0].shape else 1
    for tensor in tensors:
        spec = specs[tensor.name]
        if config.batches:
            _check_batch(tensor, batch, config)
        if tensor.datatype != spec.datatype:
            known = tensor.datatype in DATATYPES or tensor.datatype == "BYTES"
            raise InvalidRequest(
                f"inference input '{tensor.name}' data-type is '{tensor.datatype if known else '<invalid>'}',"
                f" but model '{config.name}' expects '{spec.datatype}'"
            )
        _check_shape(tensor, spec, config)
        _check_size(tensor, spec, batch, len(data[tensor.name]), config)
    return int(batch)


def _check_batch(tensor: Any, batch: int, config: ModelConfig) -> None:
    if not tensor.shape:
        raise InvalidRequest(
            f"input '{tensor.name}' has no shape but model requires batch dimension for '{config.name}'"
        )
    if tensor.shape[0] != batch:
        raise InvalidRequest(f"input '{tensor.name}' batch size does not match other inputs for '{config.name}'")
    if batch > config.max_rows:
        raise InvalidRequest(f"inference request batch-size must be <= {config.max_rows} for '{config.name}'")


def _check_shape(tensor: Any, spec: TensorSpec, config: ModelConfig) -> None:
    shape = tuple(tensor.shape)
    item = shape[1:] if config.batches else shape
    if item == spec.dims:
        return
    if len(item) == len(spec.dims) and all(size in (-1, dim) for size, dim in zip(item, spec.dims, strict=True)):
        raise InvalidRequest(
            f"All input dimensions should be specified for input '{tensor.name}' for model '{config.name}',"
            f" got {_text(shape)}"
        )
    expected = (-1, *spec.dims) if config.batches else spec.dims
    note = _BATCH_DIMENSION_NOTE if config.batches else ""
    raise InvalidRequest(
        f"unexpected shape for input '{tensor.name}' for model '{config.name}'."
        f" Expected {_text(expected)}, got {_text(shape)}. {note}"
    )


def _check_size(tensor: Any, spec: TensorSpec, batch: int, size: int, config: ModelConfig) -> None:
    expected = (batch % (1 << 32) or 1) * spec.row_bytes  # Triton counts rows in 32 bits, and none as one
    if size != expected:
        raise InvalidRequest(
            f"input byte size mismatch for input '{tensor.name}' for model '{config.name}'."
            f" Expected {expected}, got {size}"
        )
    if batch < 1:
        raise InvalidRequest(f"inference request batch-size must be >= 1 for '{config.name}'")


def _wrong_count(data: dict[str, bytes | memoryview], config: ModelConfig) -> str:
    got = ",".join(f"'{name}'" for name in data)
    missing = ",".join(f"'{spec.name}'" for spec in config.inputs if spec.name not in data)
    return (
        f"expected {len(config.inputs)} inputs but got {len(data)} inputs for model '{config.name}'."
        f" Got input(s) [{got}], but missing required input(s) [{missing}]. Please provide all required input(s)."
    )


def _text(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
