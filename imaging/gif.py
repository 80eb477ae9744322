"""GIF: the first frame is put where the decoder begins, so comments before it and frames after it are not decoded."""

from __future__ import annotations

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from imaging import pillow
from imaging.errors import ImageError
from imaging.header import Header

_SCREEN_END = 13
_EXTENSION, _FRAME, _GRAPHIC_CONTROL = 0x21, 0x2C, 0xF9
_FRAME_HEADER_BYTES = 10
_MAX_BLOCKS = 1 << 16


def read_header(data: bytes) -> Header:
    """Reads the size of the canvas.

    Raises:
        ImageError: There is no frame, or it does not lie within the canvas.
    """
    width, height = _pair(data, 6)
    frame, _ = _first_frame(data)
    left, top = _pair(data, frame + 1)
    frame_width, frame_height = _pair(data, frame + 5)
    if left + frame_width > width or top + frame_height > height:
        raise ImageError("the GIF's first frame does not lie within its canvas")
    return Header(width, height)


def read_pixels(data: bytes, header: Header, reduction: int) -> Image.Image:
    """Decodes the first frame to mode L, RGB or RGBa at 1/`reduction` of the size.

    What the frame leaves of the canvas is transparent, as browsers show it.

    Raises:
        ImageError: Some pixels are missing or damaged.
    """
    frame, control = _first_frame(data)
    canvas = (header.width, header.height)
    image = pillow.load(GifImageFile, _alone(data, frame, control))
    if image.size != canvas:
        placed = Image.new("RGBA", canvas)
        placed.paste(image.convert("RGBA"), _pair(data, frame + 1))
        image = placed
    return pillow.plain(image, reduction)


def _alone(data: bytes, frame: int, control: bytes) -> bytes:
    """Builds a file whose only frame is the given one and fills the canvas."""
    size = data[frame + 5 : frame + 9]
    origin = bytes(4)
    screen = data[:6] + size + data[10 : _palette_end(data)]
    return screen + control + data[frame : frame + 1] + origin + size + data[frame + 9 :]


def _first_frame(data: bytes) -> tuple[int, bytes]:
    """Finds where the first frame starts, and the graphic control extension that holds for it (or nothing)."""
    start, control = _palette_end(data), b""
    blocks = 0
    while blocks < _MAX_BLOCKS:
        if start + _FRAME_HEADER_BYTES > len(data):
            break
        if data[start] == _FRAME:
            return start, control
        if data[start] != _EXTENSION:
            raise ImageError("the GIF data is corrupt")
        end, sub_blocks = _sub_blocks_end(data, start + 2, _MAX_BLOCKS - blocks)
        blocks += sub_blocks
        if data[start + 1] == _GRAPHIC_CONTROL:
            control = data[start:end]
        start = end
    raise ImageError("the GIF has no frame, or too much before it")


def _palette_end(data: bytes) -> int:
    flags = int.from_bytes(data[10:11], "big")
    has_palette, colours = flags & 0x80, 2 << (flags & 0x07)
    return _SCREEN_END + (3 * colours if has_palette else 0)


def _sub_blocks_end(data: bytes, start: int, most: int) -> tuple[int, int]:
    """Finds where an extension ends, and how many sub-blocks it has."""
    for count in range(1, most + 1):
        size = int.from_bytes(data[start : start + 1], "big")
        start += 1 + size
        if size == 0:
            return start, count
    raise ImageError(f"the GIF has extensions of more than {_MAX_BLOCKS} blocks")


def _pair(data: bytes, start: int) -> tuple[int, int]:
    return int.from_bytes(data[start : start + 2], "little"), int.from_bytes(data[start + 2 : start + 4], "little")
