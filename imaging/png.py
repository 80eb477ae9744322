"""PNG: only the chunks that decide pixels reach the decoder, so broken text, profiles or animations do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL.PngImagePlugin import PngImageFile

from imaging import exif, pillow
from imaging.errors import ImageError
from imaging.header import Header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_MAX_CHUNKS = 1 << 17  # encoders cut IDAT at 8 KiB or more


def read_header(data: bytes) -> Header:
    """Reads size and orientation.

    Raises:
        ImageError: The file does not reach its last chunk, or does not begin with its header.
    """
    turn = exif.UPRIGHT
    for kind, start, end in _chunks(data):
        if kind == b"eXIf":
            turn = exif.orientation(data[start + 8 : end - 4])
    if data[12:16] != b"IHDR":
        raise ImageError("the PNG data is truncated or corrupt")
    return Header(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), turn)


def read_pixels(data: bytes, _header: Header, reduction: int) -> Image.Image:
    """Decodes to mode L, RGB or RGBa at 1/`reduction` of the size.

    Raises:
        ImageError: Some pixels are missing or damaged.
    """
    view = memoryview(data)
    needed = b"".join([view[start:end] for kind, start, end in _chunks(data) if kind in _NEEDED])
    return pillow.decode(PngImageFile, SIGNATURE + needed, reduction)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields each chunk's kind, start and end, the last one's (IEND) included."""
    end = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        start = end
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            raise ImageError("the PNG data is truncated")
        yield kind, start, end
        if kind == b"IEND":
            return
    raise ImageError(f"the PNG has more than {_MAX_CHUNKS} chunks")
