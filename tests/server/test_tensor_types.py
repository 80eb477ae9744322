from __future__ import annotations

import pytest
from tritonclient.utils import np_to_triton_dtype

from server.tensor_types import DATATYPES, TensorSpec


@pytest.mark.parametrize("name", [name for name in DATATYPES if name != "BF16"])
def test_names_are_the_protocols(name: str) -> None:
    """The client library calls each type the same."""
    assert np_to_triton_dtype(DATATYPES[name]) == name


def test_numbers_are_little_endian() -> None:
    """The wire's byte order does not depend on the machine."""
    assert all(dtype.newbyteorder("<") == dtype for dtype in DATATYPES.values())


@pytest.mark.parametrize(
    ("datatype", "dims", "size"),
    [
        ("UINT8", (224, 224, 3), 150_528),
        ("FP32", (3, 224, 224), 602_112),
        ("BF16", (2,), 4),
        ("BOOL", (1,), 1),
        ("INT64", (1 << 62, 4), 1 << 67),  # beyond what a machine integer holds
    ],
)
def test_a_row_has_its_elements_bytes(datatype: str, dims: tuple[int, ...], size: int) -> None:
    """A row is its dimensions' product times the size of one element."""
    assert TensorSpec("INPUT__0", datatype, dims).row_bytes == size
