"""A GIF's first frame, its palette and its place on the canvas."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from imaging import ImageError, decode_crop

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[..., bytes]

CANVAS = slice(6, 10)


def _two_colours() -> Image.Image:
    """Draws dark grey to the left and red to the right, 32 wide and 32 high."""
    image = Image.new("P", (32, 32), 0)
    image.putpalette([10, 10, 10, 250, 0, 0])
    image.paste(1, (16, 0, 32, 32))
    return image


def test_palette(encode: Encode) -> None:
    """Palette entries become their colours."""
    crop = decode_crop(encode(_two_colours(), "GIF"), 32, 32)
    np.testing.assert_array_equal(crop[8, [4, 28]], [[10, 10, 10], [250, 0, 0]])


def test_transparent_palette_entry_is_white(encode: Encode) -> None:
    """The entry that stands for transparent shows the white below."""
    crop = decode_crop(encode(_two_colours(), "GIF", transparency=0), 32, 32)
    np.testing.assert_array_equal(crop[8, [4, 28]], [[255, 255, 255], [250, 0, 0]])


def test_comments_and_foreign_extensions_are_skipped(encode: Encode) -> None:
    """What stands before the first frame does not change it."""
    plain = encode(_two_colours(), "GIF")
    palette_end = 13 + 3 * (2 << (plain[10] & 7))
    extensions = b"\x21\xfe\x03abc\x00" * 50 + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    crowded = plain[:palette_end] + extensions + plain[palette_end:]
    np.testing.assert_array_equal(decode_crop(crowded, 32, 32), decode_crop(plain, 32, 32))


def test_canvas_beside_the_first_frame_is_white(encode: Encode) -> None:
    """A frame that fills a part of the canvas stays at its place."""
    data = bytearray(encode(_two_colours(), "GIF"))
    frame = data.index(b",\0\0\0\0")
    data[CANVAS] = struct.pack("<HH", 64, 64)
    data[frame + 1 : frame + 5] = struct.pack("<HH", 32, 16)
    crop = decode_crop(bytes(data), 64, 64)
    assert (crop[16:48, 32:48] == 10).all()
    assert (crop[16:48, 48:] == (250, 0, 0)).all()
    crop[16:48, 32:] = 255
    assert (crop == 255).all()


def test_frame_outside_the_canvas_is_refused(encode: Encode) -> None:
    """The size that was checked is the size that is decoded."""
    data = bytearray(encode(_two_colours(), "GIF"))
    data[CANVAS] = struct.pack("<HH", 31, 32)
    with pytest.raises(ImageError, match="does not lie within its canvas"):
        decode_crop(bytes(data), 32, 32)


@pytest.mark.parametrize(
    "extension",
    [
        b"\x21\xfe" + b"\x01x" * 70_000,
        b"\x21\xfe\x00" * 70_000,
        (b"\x21\xfe" + b"\x01x" * 300 + b"\x00") * 300,
    ],
    ids=["one", "empty ones", "many"],
)
def test_endless_extensions_are_refused(encode: Encode, extension: bytes) -> None:
    """A file of nothing but comments costs a bounded walk."""
    data = encode(_two_colours(), "GIF")
    palette_end = 13 + 3 * (2 << (data[10] & 7))
    with pytest.raises(ImageError, match="GIF"):
        decode_crop(data[:palette_end] + extension + b"\0" + data[palette_end:], 32, 32)


@pytest.mark.parametrize(
    "rest", [b"", b"\x20\0\x20\0\0\0\0", b"\x20\0\x20\0\0\0\0;", b"\x20\0\x20\0\0\0\0\x21\xfe\x04"]
)
def test_a_gif_without_a_frame_is_refused(rest: bytes) -> None:
    """Header and trailer alone are no picture."""
    with pytest.raises(ImageError, match="GIF"):
        decode_crop(b"GIF89a" + rest, 32, 32)
