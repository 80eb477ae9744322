"""A server's answer as text, without what differs from run to run, so that two answers can be compared and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from tests.parity.deviations import UNASKED_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.message import Message

    from tests.parity.conftest import Server

TIMEOUT_SECONDS = 60


def ask(server: Server, rpc: str, request: Any) -> str:
    """Send one request, or a stream of them; return the answers, and code and text of the error if there is one."""
    if rpc == "ModelStreamInfer":
        return "\n".join(_stream(server, request))
    service = server.health if rpc == "Check" else server.inference
    try:
        return describe(getattr(service, rpc)(request, timeout=TIMEOUT_SECONDS))
    except grpc.RpcError as error:
        text = (error.details() or "").rstrip("\n")  # Triton ends what is wrong with an ensemble by an empty line
        return f"{error.code().name}: {text}"


def _stream(server: Server, requests: Sequence[pb.ModelInferRequest]) -> Iterator[str]:
    call = server.inference.ModelStreamInfer(iter(requests), timeout=TIMEOUT_SECONDS)
    try:
        for reply in call:
            yield describe(reply)
    except grpc.RpcError:
        pass  # its code and text follow
    yield f"{call.code().name}: {call.details()}"


def describe(message: Message) -> str:
    """Return `message` as text: tensors as numbers, without durations."""
    copy = type(message)()
    copy.CopyFrom(message)
    tensors = ""
    if isinstance(copy, pb.ModelStreamInferResponse):
        tensors = _take_tensors(copy.infer_response)
    elif isinstance(copy, pb.ModelInferResponse):
        tensors = _take_tensors(copy)
    elif isinstance(copy, pb.ModelStatisticsResponse):
        _clear_times(copy)
    elif isinstance(copy, pb.ModelConfigResponse):
        copy.config.ClearField("runtime")  # the file of Triton's backend, which another server has not
    return text_format.MessageToString(copy) + tensors


def output_values(response: pb.ModelInferResponse, position: int = 0) -> Any:
    """Return one output of a response as an array."""
    output, raw = response.outputs[position], response.raw_output_contents[position]
    if output.datatype == "BYTES":
        return deserialize_bytes_tensor(raw).reshape(output.shape)
    return np.frombuffer(raw, triton_to_np_dtype(output.datatype)).reshape(output.shape)


def _take_tensors(response: pb.ModelInferResponse) -> str:
    for name in UNASKED_PARAMETERS:
        response.parameters.pop(name, None)
    positions = range(len(response.raw_output_contents))
    lines = [
        f"{response.outputs[position].name} = {output_values(response, position).tolist()}\n" for position in positions
    ]
    del response.raw_output_contents[:]
    return "".join(lines)


def _clear_times(response: pb.ModelStatisticsResponse) -> None:
    for statistics in response.model_stats:
        statistics.last_inference = min(statistics.last_inference, 1)
        stats = statistics.inference_stats
        durations = [getattr(stats, field.name) for field in stats.DESCRIPTOR.fields if stats.HasField(field.name)]
        for batch in statistics.batch_stats:
            durations += [batch.compute_input, batch.compute_infer, batch.compute_output]
        for duration in durations:
            duration.ns = min(duration.ns, 1)
