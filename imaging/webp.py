"""WebP: lossy, lossless, with alpha; of an animation the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL.WebPImagePlugin import WebPImageFile

from imaging import exif, pillow
from imaging.errors import ImageError
from imaging.header import Header

if TYPE_CHECKING:
    from PIL import Image

_HAS_EXIF = 0x08
_MAX_CHUNKS = 1 << 12


def read_header(data: bytes) -> Header:
    """Reads size and orientation (the WebP container specification, section "Extended file format"; RFC 9649).

    Raises:
        ImageError: The header is broken.
    """
    if len(data) < 30:  # noqa: PLR2004 - the shortest file header, chunk header and frame header
        raise ImageError("the WebP data is truncated")
    kind = data[12:16]
    if kind == b"VP8X":
        turn = _orientation(data) if data[20] & _HAS_EXIF else exif.UPRIGHT
        return Header(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"), turn)
    if kind == b"VP8L":
        sides = int.from_bytes(data[21:25], "little")
        return Header(1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        return Header(
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    raise ImageError("the WebP data is truncated or corrupt")


def read_pixels(data: bytes, _header: Header, reduction: int) -> Image.Image:
    """Decodes to mode RGB or RGBa at 1/`reduction` of the size.

    Raises:
        ImageError: Some pixels are missing or damaged.
    """
    return pillow.plain(pillow.load(WebPImageFile, data), reduction)


def _orientation(data: bytes) -> int:
    start = 12
    for _ in range(_MAX_CHUNKS):
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        if data[start : start + 4] == b"EXIF":
            return exif.orientation(data[start + 8 : start + 8 + size])
        start += 8 + size + size % 2
    return exif.UPRIGHT
