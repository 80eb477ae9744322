"""Tensors that come as lists of numbers, `InferTensorContents`, instead of raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from server.errors import InvalidRequest
from server.tensor_types import DATATYPES

if TYPE_CHECKING:
    from server.model_config import ModelConfig

# Field of InferTensorContents -> the type Triton calls it, and the data types that may travel in it.
_FIELDS = {
    "bool_contents": ("BOOL", ("BOOL",)),
    "int_contents": ("INT32", ("INT8", "INT16", "INT32")),
    "int64_contents": ("INT64", ("INT64",)),
    "uint_contents": ("UINT32", ("UINT8", "UINT16", "UINT32")),
    "uint64_contents": ("UINT64", ("UINT64",)),
    "fp32_contents": ("FP32", ("FP32",)),
    "fp64_contents": ("FP64", ("FP64",)),
    "bytes_contents": ("BYTES", ("BYTES",)),
}


class TypedContents:
    """Numbers that become bytes, and elements that become a list, only once the request is good: that is slow."""

    __slots__ = ("_datatype", "_kind", "_values")

    def __init__(self, values: Any, kind: str, datatype: str) -> None:
        """`kind` is the type in which `values` travel, `datatype` the one that they stand for."""
        self._values = values
        self._kind = kind
        self._datatype = datatype

    def __len__(self) -> int:
        """Bytes that the numbers take."""
        return self.count * DATATYPES[self._datatype].itemsize

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._values)

    def encode(self) -> bytes:
        """The numbers as raw bytes; of those too large for their type the low bytes, as with Triton."""
        return np.array(self._values, DATATYPES[self._kind]).astype(DATATYPES[self._datatype]).tobytes()

    def elements(self) -> list[bytes]:
        """The elements of a tensor of BYTES."""
        return list(self._values)


def declared_datatype(tensor: Any) -> str:
    """The data type that a tensor names, as error texts have it."""
    known = tensor.datatype in DATATYPES
    return str(tensor.datatype) if known else "<invalid>"


def read_typed_contents(tensor: Any, config: ModelConfig) -> TypedContents | bytes:
    """The `contents` of an input.

    Raises:
        InvalidRequest: numbers of a type that does not go with the input's data type.
    """
    found: TypedContents | bytes = b""
    declared = declared_datatype(tensor)
    for name, (kind, accepted) in _FIELDS.items():
        values = getattr(tensor.contents, name)
        if not values:
            continue
        if declared not in accepted:
            raise InvalidRequest(
                f"unexpected explicit tensor data for input tensor '{tensor.name}' for model '{config.name}' of type"
                f" '{kind}', expected datatype '{declared}'"
            )
        found = TypedContents(values, kind, declared)
    return found
