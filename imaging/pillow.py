"""Pillow's decoders, one at a time and without the guessing, warnings and limits of `Image.open`."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imaging.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.ImageFile import ImageFile


def load(plugin: type[ImageFile], data: bytes) -> Image.Image:
    """Decodes the first picture of a file with the given format's reader, to any of Pillow's modes.

    Raises:
        ImageError: The data is truncated or corrupt.
    """
    with _failure_means_damage():
        image = plugin(io.BytesIO(data))
        image.load()
        return image


def plain(image: Image.Image, reduction: int) -> Image.Image:
    """Brings any mode to L, RGB, or RGBa (alpha multiplied into the colours) where there is transparency.

    Args:
        image: As a format's reader decoded it.
        reduction: Side of the squares of pixels that are averaged into one.

    Raises:
        ImageError: The palette or the transparency is corrupt.
    """
    if image.mode.startswith("I"):  # 16 bits of grey: keep the high byte, as Pillow does for 16 bits of colour
        info = image.info
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image.info = info
    with _failure_means_damage():
        if image.has_transparency_data:
            image = image.convert("RGBA").convert("RGBa")
        elif image.mode not in ("L", "RGB"):
            image = image.convert("L" if image.mode == "1" else "RGB")
    return image if reduction == 1 else image.reduce(reduction)


@contextmanager
def _failure_means_damage() -> Iterator[None]:
    """Turns whatever Pillow raises into an ImageError; surround nothing else, for it would hide our own mistakes."""
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the plugins raise OSError, SyntaxError, ValueError, struct.error, KeyError ...
        raise ImageError("the image data is truncated or corrupt") from None
