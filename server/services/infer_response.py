"""From the model's output rows to a ModelInferResponse, as tensors or, with Triton's extension, as class strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import service_pb2

from server.services import string_elements
from server.tensor_types import BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from server.engine import Result
    from server.model import ModelVersion
    from server.services.infer_request import Inference


def build_infer_response(request: Any, inference: Inference, result: Result, model: ModelVersion) -> Any:
    """Answer `request` with the outputs that it asked for, in the order of the model's config; always raw."""
    config = model.config
    response = service_pb2.ModelInferResponse(model_name=config.name, model_version=str(model.version), id=request.id)
    for position, classes in inference.outputs:
        spec, array = config.outputs[position], result[position]
        output = response.outputs.add()
        output.name = spec.name
        if classes:
            strings, shape = _classify(array, classes, config.labels[spec.name], batched=config.batches)
            output.datatype = "BYTES"
            output.shape.extend(shape)
            response.raw_output_contents.append(string_elements.join(strings))
        else:
            output.datatype = spec.datatype
            output.shape.extend(array.shape)
            is_bytes = spec.datatype == BYTES
            response.raw_output_contents.append(
                string_elements.join(array.ravel().tolist()) if is_bytes else array.tobytes()
            )
    return response


def top_classes(scores: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Positions of the `count` highest of `scores` [classes], highest first; the first of equal ones comes first."""
    last = len(scores) - 1
    return last - np.argsort(scores[::-1], kind="stable")[::-1][:count]


def _classify(
    array: NDArray[Any], count: int, labels: Sequence[str], *, batched: bool
) -> tuple[list[bytes], list[int]]:
    """Each row's best classes as `score:index[:label]`, and the shape of these strings."""
    rows = array.reshape(len(array), -1) if batched else array.reshape(1, -1)
    write = "{:f}".format if array.dtype.kind == "f" else str  # as C++ prints numbers
    strings: list[bytes] = []
    for row in rows:
        best = top_classes(row, count)
        values = map(write, row[best].tolist())
        strings += [_class_string(value, index, labels) for value, index in zip(values, best.tolist(), strict=True)]
    per_row = min(count, rows.shape[1])
    return strings, [len(rows), per_row] if batched else [per_row]


def _class_string(value: str, index: int, labels: Sequence[str]) -> bytes:
    label = labels[index] if index < len(labels) else ""
    return f"{value}:{index}{':' * bool(label)}{label}".encode()
