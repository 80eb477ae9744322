"""From a ModelInferRequest to what the batcher takes: everything is checked before anything is queued.

Codes and texts are Triton's, so that clients that look at them work with either server.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from server.errors import IncompleteElement, InvalidRequest
from server.model_config import BACKEND
from server.services import string_elements
from server.services.parameters import (
    check_no_shared_memory,
    check_request_parameters,
    classification_count,
    timeout_seconds,
)
from server.services.typed_contents import TypedContents, declared_datatype, read_typed_contents
from server.tensor_types import BYTES, DATATYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from server.model_config import ModelConfig
    from server.services.wire import InferMessage
    from server.tensor_types import TensorSpec

    Content = bytes | memoryview | TypedContents | list[bytes]
    Data = dict[str, Content]

# Of inputs, outputs and parameters: more make no sense, and looking at millions would keep others waiting.
_MOST_PARTS = 256
# What a request may keep in the queue besides its tensors, in bytes.
_SMALL_REST = 1 << 16
# Of a shape in an error text.
_MOST_DIMENSIONS = 16
_BATCH_DIMENSION_NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each"
    " input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting"
    " max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)


class Inference(NamedTuple):
    """A request that can be executed.

    `payload` has one buffer for each input of the model, in the order of its config, or one array where the model is
    no TorchScript module; `outputs` tells which outputs to send, by position, and how many classes of each (0: the
    tensor itself).
    """

    payload: tuple[Any, ...]
    rows: int
    outputs: Sequence[tuple[int, int]]
    timeout_seconds: float


def id_prefix(request: Any) -> str:
    """What Triton puts before the texts of errors that it finds after parsing."""
    return f"[request id: {request.id or '<id_unknown>'}] "


def within(config: ModelConfig, text: str) -> str:
    """`text`, told of a step of `config` where that is an ensemble."""
    return f"in ensemble '{config.name}', {text}" if config.steps else text


def read_infer_request(message: InferMessage, config: ModelConfig) -> Inference:
    """Check a request against the model's facts.

    Raises:
        InvalidRequest, Unsupported: it can never succeed as it stands.
    """
    request = message.request
    _check_counts(request)
    timeout = 0.0
    if request.parameters:
        check_request_parameters(request.parameters)
        timeout = timeout_seconds(request.parameters)
    _check_repetitions(request)
    data = _input_data(message, config)
    outputs = _requested_outputs(request.outputs, config)
    _check_names(request, data, config)
    try:
        rows = _batch_size(request.inputs, config)
        _check_tensors(request.inputs, data, rows, config)
    except IncompleteElement as error:
        raise InvalidRequest(within(config, str(error))) from None
    except InvalidRequest as error:
        raise InvalidRequest(id_prefix(request) + str(error)) from None
    return Inference(_payload(request, data, config), rows, outputs, timeout)


def _payload(request: Any, data: Data, config: ModelConfig) -> tuple[Any, ...]:
    contents = _without_rest([data[spec.name] for spec in config.inputs])
    if config.backend == BACKEND:
        return tuple([_buffer(content) for content in contents])
    shapes = {tensor.name: tensor.shape for tensor in request.inputs}
    return tuple([_array(*each, shapes[each[1].name]) for each in zip(contents, config.inputs, strict=True)])


def _buffer(content: Content) -> bytes | memoryview:
    return content.encode() if isinstance(content, TypedContents) else content  # type: ignore[return-value] # no BYTES


def _without_rest(contents: Sequence[Content]) -> Sequence[Content]:
    """The same contents; copies where views would keep a message that is much larger until the batch has run."""
    views = [content for content in contents if isinstance(content, memoryview)]
    if not views or len(views[0].obj) <= 2 * sum(map(len, views)) + _SMALL_REST:  # type: ignore[arg-type] # bytes
        return contents
    return [bytes(content) if isinstance(content, memoryview) else content for content in contents]


def _array(content: Content, spec: TensorSpec, shape: Sequence[int]) -> NDArray[Any]:
    if spec.datatype != BYTES:
        return np.frombuffer(_buffer(content), DATATYPES[spec.datatype]).reshape(shape)
    array = np.empty(len(content), object)
    array[:] = content
    return array.reshape(shape)


def _check_counts(request: Any) -> None:
    counts = {"inputs": len(request.inputs), "outputs": len(request.outputs), "parameters": len(request.parameters)}
    for name, count in counts.items():
        if count > _MOST_PARTS:
            raise InvalidRequest(f"{id_prefix(request)}a request can have {_MOST_PARTS} {name}, but this has {count}")


def _check_repetitions(request: Any) -> None:
    names: set[str] = set()
    for tensor in request.inputs:
        if tensor.name in names:
            raise InvalidRequest(f"{id_prefix(request)}input '{tensor.name}' already exists in request")
        names.add(tensor.name)


def _input_data(message: InferMessage, config: ModelConfig) -> Data:
    """The contents of each input that the request brings, by name."""
    request = message.request
    data: Data = {}
    raw = iter(message.raw)
    for tensor in request.inputs:
        if tensor.parameters:
            check_no_shared_memory(tensor)
        typed = tensor.HasField("contents")
        if message.raw and typed:
            raise InvalidRequest(
                "contents field must not be specified when using raw_input_contents for"
                f" '{tensor.name}' for model '{config.name}'"
            )
        content = read_typed_contents(tensor, config) if typed else next(raw, None)
        if content is None:
            raise InvalidRequest(
                f"unable to find data for input tensor '{tensor.name}' for model '{config.name}' in request."
            )
        data[tensor.name] = content
    return data


def _requested_outputs(requested: Sequence[Any], config: ModelConfig) -> Sequence[tuple[int, int]]:
    if not requested:
        return [(position, 0) for position in range(len(config.outputs))]
    classes: dict[str, int] = {}
    for output in requested:
        if output.parameters:
            check_no_shared_memory(output)
        count = classification_count(output)
        classes[output.name] = classes.get(output.name) or count  # the first that asks for classes counts
    positions = {spec.name: position for position, spec in enumerate(config.outputs)}
    for name, count in classes.items():
        if name not in positions:
            raise InvalidRequest(f"unexpected inference output '{name}' for model '{config.name}'")
        datatype = config.outputs[positions[name]].datatype
        if count and datatype in ("BOOL", "FP16", "BF16", BYTES):
            raise InvalidRequest(f"class result not available for output due to unsupported type '{datatype}'")
    return sorted((positions[name], count) for name, count in classes.items())


def _check_names(request: Any, data: Data, config: ModelConfig) -> None:
    names = [spec.name for spec in config.inputs]
    if len(data) != len(names):
        got = ",".join(f"'{name}'" for name in data)
        missing = ",".join(f"'{name}'" for name in names if name not in data)
        raise InvalidRequest(
            f"{id_prefix(request)}expected {len(names)} inputs but got {len(data)} inputs for model '{config.name}'."
            f" Got input(s) [{got}], but missing required input(s) [{missing}]. Please provide all required input(s)."
        )
    for name in data:
        if name not in names:
            raise InvalidRequest(f"unexpected inference input '{name}' for model '{config.name}'")


def _batch_size(tensors: Sequence[Any], config: ModelConfig) -> int:
    """The number of rows, which all inputs must have; without a batch dimension it is 1."""
    if not config.batches:
        return 1
    for tensor in tensors:
        if not tensor.shape:
            raise InvalidRequest(
                f"input '{tensor.name}' has no shape but model requires batch dimension for '{config.name}'"
            )
        if tensor.shape[0] != tensors[0].shape[0]:
            raise InvalidRequest(f"input '{tensor.name}' batch size does not match other inputs for '{config.name}'")
    rows = int(tensors[0].shape[0])
    check_rows(rows, config)
    return rows


def check_rows(rows: int, config: ModelConfig) -> None:
    """Check that a batch is no larger than the model takes.

    Raises:
        InvalidRequest: it is.
    """
    if rows > config.max_rows:
        raise InvalidRequest(f"inference request batch-size must be <= {config.max_rows} for '{config.name}'")


def _check_tensors(tensors: Sequence[Any], data: Data, rows: int, config: ModelConfig) -> None:
    specs = {spec.name: spec for spec in config.inputs}
    for tensor in tensors:
        spec = specs[tensor.name]
        if tensor.datatype != spec.datatype:
            raise InvalidRequest(
                f"inference input '{tensor.name}' data-type is '{declared_datatype(tensor)}',"
                f" but model '{config.name}' expects '{spec.datatype}'"
            )
        check_shape(tensor.shape, spec, rows, config)
        size = _row_size(tensor, config) * (rows % (1 << 32) or 1)  # Triton counts rows in 32 bits, and none as one
        if spec.datatype != BYTES:
            _check_size(tensor.name, size * DATATYPES[spec.datatype].itemsize, len(data[tensor.name]), config)
        elif rows >= 1 or len(data[tensor.name]) <= _SMALL_REST:  # nobody looks at millions of texts of no row at all
            data[tensor.name] = _elements(data[tensor.name], size, tensor.name, config)
        if rows < 1:
            raise InvalidRequest(f"inference request batch-size must be >= 1 for '{config.name}'")


def check_shape(shape: Sequence[int], spec: TensorSpec, rows: int, config: ModelConfig) -> None:
    """Check the whole shape of an input that has `rows` rows.

    Raises:
        InvalidRequest: it is not one that the model takes.
    """
    wanted = (rows, *spec.dims) if config.batches else spec.dims
    possible = len(shape) == len(wanted) and all(
        given == -1 or size in (-1, given) for given, size in zip(shape, wanted, strict=True)
    )
    if possible and min(shape[1 if config.batches else 0 :], default=0) >= 0:
        return
    if possible:
        raise InvalidRequest(
            f"All input dimensions should be specified for input '{spec.name}' for model '{config.name}',"
            f" got {_text(shape)}"
        )
    expected = (-1, *spec.dims) if config.batches else spec.dims
    note = _BATCH_DIMENSION_NOTE if config.batches else ""
    raise InvalidRequest(
        f"unexpected shape for input '{spec.name}' for model '{config.name}'."
        f" Expected {_text(expected)}, got {_text(shape)}. {note}"
    )


def _row_size(tensor: Any, config: ModelConfig) -> int:
    return math.prod(tensor.shape[1:] if config.batches else tensor.shape)


def _elements(content: Any, expected: int, name: str, config: ModelConfig) -> list[bytes]:
    elements = string_elements.split(content, expected, name, config)
    string_elements.check_count(len(elements), expected, name, config)
    return elements


def _check_size(name: str, expected: int, size: int, config: ModelConfig) -> None:
    if size != expected:
        raise InvalidRequest(
            f"input byte size mismatch for input '{name}' for model '{config.name}'. Expected {expected}, got {size}"
        )


def _text(shape: Sequence[int]) -> str:
    sizes = [*map(str, shape[:_MOST_DIMENSIONS]), *["..."] * (len(shape) > _MOST_DIMENSIONS)]
    return f"[{','.join(sizes)}]"
