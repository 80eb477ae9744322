"""Short ways to write down requests of the Open Inference Protocol, right and wrong ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Tensor:
    """An input of a request; without `raw` and `contents` it has no data."""

    name: str
    datatype: str
    shape: Sequence[int]
    raw: bytes | None = None
    contents: Mapping[str, Sequence[Any]] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """A requested output."""

    name: str = "OUTPUT__0"
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Uint64:
    """A parameter's value that goes as uint64, as tritonclient sends `priority`; Python's int goes as int64."""

    value: int


class Unset:
    """A parameter without a value."""


def image(shape: Sequence[int] = (1, 4, 4, 3), raw: bytes | None = None, **changes: Any) -> Tensor:
    """INPUT__0 of the models `pixels` and `unbatched`; by default its bytes count up, in each row from another one."""
    size = math.prod(shape)
    counted = bytes((row * 40 + index) % 256 for row in range(max(1, size // 48)) for index in range(48))
    content = counted[: max(0, size)] if raw is None and not changes.get("contents") else raw
    return Tensor(**{"name": "INPUT__0", "datatype": "UINT8", "shape": shape, "raw": content, **changes})


def tensors(rows: int = 1) -> list[Tensor]:
    """The inputs of the model `tensors`, as raw bytes."""
    return [
        Tensor("INPUT__0", "FP32", (rows, 2), np.array([[1.5, -2]] * rows, "<f4").tobytes()),
        Tensor("INPUT__1", "INT64", (rows, 3), np.array([[-5, 7, 1 << 40]] * rows, "<i8").tobytes()),
        Tensor("INPUT__2", "BOOL", (rows, 2), np.array([[True, False]] * rows).tobytes()),
        Tensor("INPUT__3", "FP16", (rows, 2), np.array([[0.5, -8]] * rows, "<f2").tobytes()),
    ]


def numbers(model: str) -> list[Tensor]:
    """The inputs of the models `by_name` and `by_index`, in the order of config.pbtxt, as raw bytes."""
    names = ("second", "first") if model == "by_name" else ("NUMBER__1", "NUMBER__0")
    values = zip(names, (3, 10), strict=True)
    return [Tensor(name, "FP32", (1, 1), np.array([[value]], "<f4").tobytes()) for name, value in values]


def work(amount: int, rows: int = 1, request_id: str = "r7") -> pb.ModelInferRequest:
    """A request that keeps the model `work` busy for about `amount` milliseconds, or fails if that is negative."""
    raw = np.full((rows, 1), amount, "<i4").tobytes()
    return infer(Tensor("INPUT__0", "INT32", (rows, 1), raw), model="work", request_id=request_id)


def infer(
    *inputs: Tensor,
    model: str = "pixels",
    version: str = "",
    request_id: str = "r7",
    outputs: Sequence[Output] = (),
    parameters: Mapping[str, Any] | None = None,
    extra_raw: Sequence[bytes] = (),
) -> pb.ModelInferRequest:
    """A ModelInferRequest; `extra_raw` follows the inputs' own raw contents."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    _set_parameters(request.parameters, parameters or {})
    for tensor in inputs:
        item = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        _set_parameters(item.parameters, tensor.parameters)
        if tensor.contents is not None:
            item.contents.SetInParent()
            for name, values in tensor.contents.items():
                getattr(item.contents, name).extend(values)
        if tensor.raw is not None:
            request.raw_input_contents.append(tensor.raw)
    for output in outputs:
        _set_parameters(request.outputs.add(name=output.name).parameters, output.parameters)
    request.raw_input_contents.extend(extra_raw)
    return request


def _set_parameters(target: Any, parameters: Mapping[str, Any]) -> None:
    for key, value in parameters.items():
        target[key].CopyFrom(_parameter(value))


def _parameter(value: Any) -> pb.InferParameter:
    match value:
        case Unset():
            return pb.InferParameter()
        case Uint64():
            return pb.InferParameter(uint64_param=value.value)
        case bool():
            return pb.InferParameter(bool_param=value)
        case int():
            return pb.InferParameter(int64_param=value)
        case float():
            return pb.InferParameter(double_param=value)
        case _:
            return pb.InferParameter(string_param=value)
