"""Short ways to write down requests of the Open Inference Protocol, right and wrong ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2

from server.tensor_types import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def tensor(
    name: str = "INPUT__0",
    datatype: str = "UINT8",
    shape: Sequence[int] = (1, 4, 4, 3),
    contents: Mapping[str, Sequence[Any]] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """An input; with `contents`, which may be empty, it brings its numbers itself."""
    message = service_pb2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents is not None:
        message.contents.SetInParent()
        for field, values in contents.items():
            getattr(message.contents, field).extend(values)
    set_parameters(message.parameters, parameters or {})
    return message


def output(name: str = "OUTPUT__0", parameters: Mapping[str, Any] | None = None) -> Any:
    """A requested output."""
    message = service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name)
    set_parameters(message.parameters, parameters or {})
    return message


def infer(
    *inputs: Any,
    raw: Sequence[bytes] | None = None,
    outputs: Sequence[Any] = (),
    parameters: Mapping[str, Any] | None = None,
    request_id: str = "r7",
) -> Any:
    """A ModelInferRequest; without `raw`, inputs that bring no contents get as many bytes as their shapes say."""
    if raw is None:
        raw = [_zeros(each) for each in inputs] if not any(each.HasField("contents") for each in inputs) else []
    request = service_pb2.ModelInferRequest(id=request_id, inputs=inputs, outputs=outputs, raw_input_contents=raw)
    set_parameters(request.parameters, parameters or {})
    return request


def set_parameters(target: Any, parameters: Mapping[str, Any]) -> None:
    """Fill a map of parameters; a value is (field, value), or None for a parameter without a value."""
    for key, choice in parameters.items():
        if choice is None:
            target[key].SetInParent()
        else:
            setattr(target[key], *choice)


def _zeros(message: Any) -> bytes:
    itemsize = DATATYPES[message.datatype].itemsize if message.datatype in DATATYPES else 1
    return bytes(min(abs(math.prod(message.shape)) * itemsize, 1000))
