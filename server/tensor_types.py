"""Tensors as the protocol names them: data types, shapes and their sizes in bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BYTES = "BYTES"

# Wire name -> numpy's. BF16 has no numpy type: its two bytes travel as they are. Elements of BYTES are Python's bytes.
DATATYPES: dict[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("uint8"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("int8"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
    BYTES: np.dtype("object"),
}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    `dims` is the shape of one row, without the batch dimension; -1 is any size.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one row; meaningful for inputs, whose dims are all known."""
        return math.prod(self.dims) * DATATYPES[self.datatype].itemsize
