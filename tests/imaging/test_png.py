"""The kinds of PNG, and the ways in which they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from imaging import ImageError, decode_crop, png

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[..., bytes]
    MakePng = Callable[..., bytes]

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
ROW = b"\0" + bytes(range(1, 97))  # filter type, then 32 pixels of RGB


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "chunks", "expected"),
    [
        (1, GREY, b"\xf0" * 4, {}, [255, 255, 255, 255, 0, 0, 0, 0]),
        (2, GREY, b"\x1b" * 8, {}, [0, 85, 170, 255] * 2),
        (4, GREY, b"\x07" * 16, {}, [0, 119] * 4),
        (4, GREY, b"\x07" * 16, {"tRNS": b"\0\x07"}, [0, 255] * 4),
        (8, GREY, b"\x05\x90" * 16, {"tRNS": b"\0\x05"}, [255, 0x90] * 4),
        (16, GREY, b"\x80\xff\x01\x00" * 16, {}, [0x80, 1] * 4),
        (16, GREY_ALPHA, b"\x40\0\xff\xff\x40\0\0\0" * 16, {}, [0x40, 255] * 4),
        (1, PALETTE, b"\xaa" * 4, {"PLTE": b"\x10\x10\x10\xa0\xa0\xa0"}, [0xA0, 0x10] * 4),
        (8, PALETTE, b"\0\1" * 16, {"PLTE": b"\x10\x10\x10\xa0\xa0\xa0", "tRNS": b"\0"}, [255, 0xA0] * 4),
        (8, RGB, b"\7\7\7\x80\x80\x80" * 16, {"tRNS": b"\0\x07\0\x07\0\x07"}, [255, 0x80] * 4),
        (16, RGB, b"\x12\xff" * 96, {}, [0x12] * 8),
        (16, GREY, b"\x03\xe8\x80\xff" * 16, {"tRNS": b"\x03\xe8"}, [255, 0x80] * 4),
        (16, RGB, b"\x03\xe8" * 3 * 32, {"tRNS": b"\x03\xe8" * 3}, [255] * 8),
        (16, RGBA, (b"\x12\xff" * 3 + b"\xff\xff") * 32, {}, [0x12] * 8),
    ],
)
def test_depths_and_colour_types(
    make_png: MakePng, depth: int, colour_type: int, row: bytes, chunks: dict[str, bytes], expected: list[int]
) -> None:
    """Every depth is scaled to 8 bits, and every way to be transparent shows white."""
    crop = decode_crop(make_png((32, 32, depth, colour_type, 0), (b"\0" + row) * 32, **chunks), 32, 32)
    np.testing.assert_array_equal(crop[5, :8], np.repeat(expected, 3).reshape(8, 3))


@pytest.mark.parametrize("side", [16, 64])
def test_a_second_header_is_refused(make_png: MakePng, side: int) -> None:
    """A size that the limits have not seen reaches no decoder, whether it is larger or smaller than the first."""
    first = make_png((32, 32, 8, RGB, 0), ROW * 32)
    header = make_png((side, side, 8, RGB, 0), b"")[8:33]
    assert decode_crop(first, 32, 32).shape == (32, 32, 3)
    with pytest.raises(ImageError, match="corrupt"):
        decode_crop(first[:33] + header + first[33:], 32, 32)


def test_interlaced(make_png: MakePng) -> None:
    """The seven passes of a 2x2 picture land on their pixels."""
    passes = b"\0\x0a" + b"\0\x14" + b"\0\x1e\x28"  # the first, sixth and seventh; the others are empty at this size
    crop = decode_crop(make_png((2, 2, 8, GREY, 1), passes), 2, 2)
    np.testing.assert_array_equal(crop[..., 0], [[10, 20], [30, 40]])


@pytest.mark.parametrize("interlacing", [0, 1])
def test_missing_rows_are_refused(make_png: MakePng, interlacing: int) -> None:
    """Rows that end early in an otherwise valid file are not shown as black."""
    with pytest.raises(ImageError):
        decode_crop(make_png((32, 32, 8, RGB, interlacing), ROW * 16), 32, 32)


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 0, 0, 0)])
@pytest.mark.parametrize("size", [(33, 17), (2000, 1)])
def test_black_is_not_mistaken_for_missing(encode: Encode, colour: tuple[int, ...], size: tuple[int, int]) -> None:
    """A picture whose rows are all zero is a picture."""
    image = Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour)
    expected = 0 if len(colour) == 3 else 255
    assert (decode_crop(encode(image, "PNG"), 8, 8) == expected).all()


@pytest.mark.parametrize("interlacing", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 9), (32, 31)])
def test_promised_bytes_are_counted_by_the_specification(
    make_png: MakePng, interlacing: int, size: tuple[int, int]
) -> None:
    """One byte less than the rows need is an error, and just enough is not."""
    width, height = size
    rows = _zero_rows(width, height, interlaced=bool(interlacing))
    assert decode_crop(make_png((width, height, 8, RGB, interlacing), rows), 4, 4).max() == 0
    with pytest.raises(ImageError):
        decode_crop(make_png((width, height, 8, RGB, interlacing), rows[:-1]), 4, 4)


def _zero_rows(width: int, height: int, *, interlaced: bool) -> bytes:
    """Assigns each pixel to its pass by the specification's 8x8 pattern, and counts a filter byte for each row."""
    pattern = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"]
    rows: dict[tuple[str, int], int] = {}
    for y in range(height):
        for x in range(width):
            key = (pattern[y % 8][x % 8] if interlaced else "1", y)
            rows[key] = rows.get(key, 1) + 3
    return bytes(sum(rows.values()))


@pytest.mark.parametrize(
    "chunks",
    [
        {"acTL": b"nonsense", "fcTL": b""},
        {"iCCP": b"x" * 100, "zTXt": b"\xff" * 50, "iTXt": b"", "pHYs": b"1", "gAMA": b"\0"},
        {"eXIf": b"II*\0\x08\0\0\0\xff\xff"},
    ],
)
def test_broken_chunks_beside_the_pixels_change_nothing(make_png: MakePng, chunks: dict[str, bytes]) -> None:
    """Only what decides pixels can make a PNG unusable."""
    whole = decode_crop(make_png((32, 32, 8, RGB, 0), ROW * 32), 32, 32)
    np.testing.assert_array_equal(decode_crop(make_png((32, 32, 8, RGB, 0), ROW * 32, **chunks), 32, 32), whole)


@pytest.mark.parametrize(
    ("header", "chunks"),
    [
        ((32, 32, 8, 7, 0), {}),
        ((32, 32, 3, RGB, 0), {}),
        ((32, 32, 8, PALETTE, 0), {}),
        ((32, 32, 8, RGB, 9), {}),
        ((0, 32, 8, RGB, 0), {}),
        ((32, 0, 8, RGB, 0), {}),
        ((32, 64, 8, RGB, 0), {}),
    ],
)
def test_impossible_headers_are_refused(make_png: MakePng, header: tuple[int, ...], chunks: dict[str, Any]) -> None:
    """Unknown colour types, depths and interlacings, missing palettes and zero sides are errors."""
    with pytest.raises(ImageError):
        decode_crop(make_png(header, ROW * 32, **chunks), 32, 32)


def test_damaged_pixels_are_refused(make_png: MakePng) -> None:
    """A checksum that does not fit is an error."""
    data = bytearray(make_png((32, 32, 8, RGB, 0), ROW * 32))
    data[data.index(b"IDAT") + 10] ^= 1
    with pytest.raises(ImageError, match="truncated or corrupt"):
        decode_crop(bytes(data), 32, 32)


def test_endless_chunks_are_refused() -> None:
    """A file of nothing but empty chunks costs a bounded walk."""
    with pytest.raises(ImageError, match="more than 131072 chunks"):
        decode_crop(png.SIGNATURE + b"\0\0\0\0tEXt\0\0\0\0" * 200_000, 32, 32)
