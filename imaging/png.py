"""PNG: only the chunks that decide pixels reach the decoder, so broken text, profiles or animations do no harm."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
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
_INFLATE_BYTES = 1 << 20
_GREY = 0
_SAMPLES = {_GREY: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel's samples by colour type
_TWO_BYTES = 16  # the bits of such a sample
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read_header(data: bytes) -> Header:
    """Reads size and orientation (the PNG specification, sections 11.2.1 and 11.3.4.5).

    Raises:
        ImageError: The file does not reach its last chunk, or does not begin with its header.
    """
    turn = exif.UPRIGHT
    headers = 0
    for kind, content in _chunks(data):
        headers += kind == b"IHDR"
        if kind == b"eXIf":
            turn = exif.orientation(bytes(content))
    # Of several headers the decoder would take the last: a limit on what the first one says would mean nothing.
    if data[8:16] != b"\0\0\0\rIHDR" or headers != 1:
        raise ImageError("the PNG data is truncated or corrupt")
    return Header(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), turn)


def read_pixels(data: bytes, header: Header, reduction: int) -> Image.Image:
    """Decodes to mode L, RGB or RGBa at 1/`reduction` of the size.

    Raises:
        ImageError: Some pixels are missing or damaged.
    """
    image = pillow.load(PngImageFile, _stripped(data))
    _check_complete(data, header, image)
    _scale_colour_key(data, image)
    return pillow.plain(image, reduction)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields each chunk's kind and content, the last one's (IEND) included."""
    view = memoryview(data)
    start = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        end = start + 12 + int.from_bytes(view[start : start + 4], "big")
        if end > len(data):
            raise ImageError("the PNG data is truncated")
        kind = data[start + 4 : start + 8]
        yield kind, view[start + 8 : end - 4]
        if kind == b"IEND":
            return
        start = end
    raise ImageError(f"the PNG has more than {_MAX_CHUNKS} chunks")


def _stripped(data: bytes) -> bytes:
    kept = []
    start = len(SIGNATURE)
    for kind, content in _chunks(data):
        end = start + 12 + len(content)
        if kind in _NEEDED:
            kept.append(memoryview(data)[start:end])
        start = end
    return SIGNATURE + b"".join(kept)


def _check_complete(data: bytes, header: Header, image: Image.Image) -> None:
    """Raises ImageError where the rows end early, which the decoder takes for black.

    Counting costs another inflation, so it is done only where rows may be missing: they are all zero then, and the
    last one is the last to come unless the rows are interlaced.
    """
    depth, colour_type, interlaced = data[24], data[25], data[28] != 0
    if not interlaced and np.asarray(image.crop((0, header.height - 1, header.width, header.height))).any():
        return
    promised = 0
    for left, top, step_x, step_y in _ADAM7 if interlaced else _ONE_PASS:
        columns = -(-(header.width - left) // step_x)
        rows = -(-(header.height - top) // step_y)
        if columns > 0 and rows > 0:
            promised += rows * (1 + (columns * _SAMPLES[colour_type] * depth + 7) // 8)
    try:
        complete = _inflated_bytes(data, promised) == promised
    except zlib.error:
        complete = False
    if not complete:
        raise ImageError("the PNG has fewer pixels than its header promises")


def _inflated_bytes(data: bytes, enough: int) -> int:
    inflater = zlib.decompressobj()
    count = 0
    for piece in _deflated(data):
        waiting: bytes | memoryview = piece
        while count < enough and (block := inflater.decompress(waiting, _INFLATE_BYTES)):
            count += len(block)
            waiting = inflater.unconsumed_tail  # a copy, so pieces are small
    return min(count, enough)


def _deflated(data: bytes) -> Iterator[memoryview]:
    for kind, content in _chunks(data):
        if kind == b"IDAT":
            for start in range(0, len(content), _INFLATE_BYTES):
                yield content[start : start + _INFLATE_BYTES]
    yield memoryview(b"")  # asks for what is still held back


def _scale_colour_key(data: bytes, image: Image.Image) -> None:
    """Brings the colour that stands for transparent to the 8 bits that pixels of 2, 4 or 16 bits are brought to."""
    depth, colour_type = data[24], data[25]
    key = image.info.get("transparency")
    if colour_type == _GREY and depth in (2, 4) and isinstance(key, int):
        image.info["transparency"] = key * 255 // ((1 << depth) - 1)
    elif depth == _TWO_BYTES and key is not None:  # as the pixels, it keeps its high byte
        image.info["transparency"] = tuple(each >> 8 for each in key) if isinstance(key, tuple) else key >> 8
