"""WebP's three kinds of header, and what its container may claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from imaging import ImageError, decode_crop, webp
from imaging.header import Header

if TYPE_CHECKING:
    from collections.abc import Callable

    Encode = Callable[..., bytes]


@pytest.mark.parametrize("size", [(1, 1), (300, 7), (7, 16383)])
@pytest.mark.parametrize(
    ("mode", "options", "first_chunk"),
    [
        ("RGB", {}, b"VP8 "),
        ("RGB", {"lossless": True}, b"VP8L"),
        ("RGBA", {}, b"VP8X"),
        ("RGB", {"icc_profile": b"profile"}, b"VP8X"),
    ],
)
def test_size_is_read_from_each_kind_of_header(
    encode: Encode, mode: str, options: dict[str, Any], first_chunk: bytes, size: tuple[int, int]
) -> None:
    """Lossy, lossless and extended files say their size in different places."""
    image = Image.new(mode, size, (1, 2, 3) if mode == "RGB" else (1, 2, 3, 100))
    data = encode(image, "WEBP", **options)
    assert data[12:16] == first_chunk
    assert webp.read_header(data) == Header(*size)


def test_a_canvas_that_its_frame_does_not_fill_is_refused(photo: Image.Image, encode: Encode) -> None:
    """The size that was checked is the size that is decoded."""
    data = bytearray(encode(photo, "WEBP", icc_profile=b"profile"))
    data[24] += 1
    with pytest.raises(ImageError, match="truncated or corrupt"):
        decode_crop(bytes(data), 32, 32)


def test_unknown_first_chunk_is_refused(photo: Image.Image, encode: Encode) -> None:
    """A container of something else is no picture."""
    with pytest.raises(ImageError, match="WebP"):
        decode_crop(encode(photo, "WEBP").replace(b"VP8 ", b"WAVE", 1), 32, 32)
