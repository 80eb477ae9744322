"""Pillow's decoders, one at a time and without the guessing, warnings and limits of `Image.open`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imaging.errors import ImageError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


def decode(plugin: type[ImageFile], data: bytes, reduction: int) -> Image.Image:
    """Decodes the first picture of a file.

    Args:
        plugin: The format's reader.
        data: The file.
        reduction: Side of the squares of pixels that are averaged into one.

    Returns:
        An image of mode L, RGB, or RGBa (alpha already multiplied into the colours) where there is transparency.

    Raises:
        ImageError: The data is truncated or corrupt.
    """
    try:
        image = _plain(_load(plugin, data))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the plugins raise OSError, SyntaxError, ValueError, struct.error, KeyError ...
        raise ImageError(f"the {plugin.format} data is truncated or corrupt") from None
    return image if reduction == 1 else image.reduce(reduction)


def _load(plugin: type[ImageFile], data: bytes) -> Image.Image:
    image = plugin(io.BytesIO(data))
    image.load()
    return image


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey: keep the high byte, as every decoder does for 16 bits of colour
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGBa")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
