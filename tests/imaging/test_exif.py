"""The orientation, found in good EXIF data and not missed in bad."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import exif


def _tiff(order: str, entries: list[tuple[int, int, int, int]]) -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(order + "HHIHxx", *entry) for entry in entries)
    return head + struct.pack(order + "IH", 8, len(entries)) + body


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_both_byte_orders(prefix: bytes, order: str, value: int) -> None:
    """The tag is found among others, whichever way the camera writes numbers."""
    entries = [(0x0100, 3, 1, 640), (0x0112, 3, 1, value), (0x011A, 3, 1, 72)]
    assert exif.orientation(prefix + _tiff(order, entries)) == value


@pytest.mark.parametrize("entry", [(0x0112, 3, 1, 0), (0x0112, 3, 1, 9), (0x0112, 4, 1, 6), (0x0111, 3, 1, 6)])
def test_values_that_mean_nothing_are_upright(entry: tuple[int, int, int, int]) -> None:
    """An orientation of 0 or 9, of another type, or none at all, is no orientation."""
    assert exif.orientation(_tiff("<", [entry])) == exif.UPRIGHT


@given(head=st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0\x08\0\0\0"]), rest=st.binary(max_size=80))
def test_garbage_never_raises(head: bytes, rest: bytes) -> None:
    """Any bytes give one of the eight orientations."""
    assert exif.orientation(head + rest) in range(1, 9)
