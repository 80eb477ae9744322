"""Short ways to write down requests of the Open Inference Protocol, right and wrong ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from tritonclient.grpc import service_pb2

from server.errors import InvalidRequest
from server.services.infer_request import read_infer_request
from server.services.wire import parse_infer_message
from server.tensor_types import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.model_config import ModelConfig
    from server.services.infer_request import Inference


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


def multi(
    *, rows: tuple[int, int, int] = (1, 1, 1), datatype: str = "FP32", shape: list[int] | None = None
) -> list[Any]:
    """The inputs of a model with several."""
    return [
        tensor("A", datatype, shape if shape is not None else [rows[0], 2]),
        tensor("B", "INT64", [rows[1], 1]),
        tensor("C", "BOOL", [rows[2], 2]),
    ]


def read(request: Any, config: ModelConfig) -> Inference:
    """What the server makes of a request to a model."""
    return read_infer_request(parse_infer_message(request.SerializeToString()), config)


def refusal(request: Any, config: ModelConfig) -> str:
    """Why the server does not take a request to a model."""
    with pytest.raises(InvalidRequest) as raised:
        read(request, config)
    return str(raised.value)


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
