"""`model_warmup` of config.pbtxt: requests that every instance answers before the model is ready, as under Triton.

A sample is one row, sent `batch_size` times in one batch. Its data are zeros, random bytes, or those of a file below
MODEL/warmup.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import model_config_pb2

from server.model_config import ConfigError
from server.tensor_types import BYTES, DATATYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from server.model_config import ModelConfig
    from server.tensor_types import TensorSpec

_DIRECTORY = "warmup"


class WarmUpError(ConfigError):
    """A warm-up that cannot be run, or that the model fails on; `index` is its position in config.pbtxt."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


@dataclass(frozen=True, slots=True)
class Sample:
    """One entry: `tensors`, a row each in the order of the inputs, make `rows` requests of a batch, `count` times."""

    index: int
    name: str
    tensors: tuple[NDArray[Any], ...]
    rows: int
    count: int


def read_samples(config: ModelConfig, directory: Path) -> list[Sample]:
    """Read the samples of the model in `directory`.

    Raises:
        WarmUpError: the first of them that cannot be run.
    """
    for index, text in faults(config.proto, directory):
        raise WarmUpError(index, text)
    return [
        Sample(
            index,
            entry.name,
            tuple(_row(entry.inputs[spec.name], spec, config, directory) for spec in config.inputs),
            entry.batch_size,
            max(1, entry.count),
        )
        for index, entry in enumerate(config.proto.model_warmup)
        if entry.batch_size  # Triton skips the others
    ]


def faults(proto: Any, directory: Path) -> Iterator[tuple[int, str]]:
    """The entries, by their position, that are no requests of the model in `directory`, and why."""
    tensors = {tensor.name: tensor for tensor in proto.input}
    for index, entry in enumerate(proto.model_warmup):
        if not entry.batch_size or proto.max_batch_size < 0:
            continue
        if entry.batch_size > max(1, proto.max_batch_size):
            size = f"batch_size {entry.batch_size}, which is above max_batch_size"
            yield index, f"model_warmup has {size}: Triton may crash"
        if missing := sorted(tensors.keys() - entry.inputs.keys()):
            yield index, f"model_warmup has no input {', '.join(missing)}"
        for name, data in sorted(entry.inputs.items()):
            if name in tensors:  # Triton passes over the others
                for text in _misfits(data, tensors[name], directory / _DIRECTORY):
                    yield index, f'model_warmup: input "{name}" {text}'


def _misfits(data: Any, tensor: Any, directory: Path) -> Iterator[str]:
    if data.data_type != tensor.data_type:
        yield f"has {model_config_pb2.DataType.Name(tensor.data_type)}"
    if min(data.dims, default=1) < 0:
        yield "needs dims that are all given"
    fits = len(data.dims) == len(tensor.dims) and all(b in (-1, a) for a, b in zip(data.dims, tensor.dims, strict=True))
    if not fits:
        yield f"has dims {list(tensor.dims)}"
    if not data.WhichOneof("input_data_type"):
        yield "needs zero_data, random_data or input_data_file"
    if data.input_data_file:
        yield from _file_faults(data, directory / data.input_data_file)


def _file_faults(data: Any, path: Path) -> Iterator[str]:
    name = f'"{_DIRECTORY}/{data.input_data_file}"'
    if not path.is_file():
        yield f"needs a file {name}: there is no such file"
        return
    datatype = model_config_pb2.DataType.Name(data.data_type).removeprefix("TYPE_")
    if datatype in DATATYPES and not DATATYPES[datatype].hasobject:
        needed, size = int(np.prod(data.dims)) * DATATYPES[datatype].itemsize, path.stat().st_size
        if size < needed:
            yield f"needs {needed} bytes, {name} has {size}"


def _row(data: Any, spec: TensorSpec, config: ModelConfig, directory: Path) -> NDArray[Any]:
    """One row: [1, *dims], or [*dims] where the model does not batch."""
    shape, dtype = ([1, *data.dims] if config.batches else list(data.dims)), DATATYPES[spec.datatype]
    size = int(np.prod(shape))
    if data.input_data_file:
        content = (directory / _DIRECTORY / data.input_data_file).read_bytes()
    elif spec.datatype == BYTES:
        content = bytes(4 * size)  # each element is its length, 0
    else:
        content = np.random.default_rng(0).bytes(size * dtype.itemsize) if data.random_data else b""
        content = content or bytes(size * dtype.itemsize)
    if spec.datatype == BYTES:
        return np.array([*_elements(content)][:size], dtype).reshape(shape)
    return np.frombuffer(content, dtype, size).reshape(shape)


def _elements(content: bytes) -> Iterator[bytes]:
    """The elements of a BYTES tensor: each behind its length."""
    start = 0
    while start + 4 <= len(content):
        (length,) = struct.unpack_from("<I", content, start)
        yield content[start + 4 : start + 4 + length]
        start += 4 + length
