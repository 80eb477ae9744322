"""From encoded bytes to the pixels a model takes: recognise, check, decode, crop, flatten, turn upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imaging import exif, gif, jpeg, png, webp
from imaging.crop import Crop
from imaging.errors import ImageError
from imaging.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import Image

    from imaging.header import Header


class _Reader(NamedTuple):
    header: Callable[[bytes], Header]
    pixels: Callable[[bytes, Header, int], Image.Image]


_JPEG = _Reader(jpeg.read_header, jpeg.read_pixels)
_PNG = _Reader(png.read_header, png.read_pixels)
_WEBP = _Reader(webp.read_header, webp.read_pixels)
_GIF = _Reader(gif.read_header, gif.read_pixels)


def decode_crop(
    data: bytes | memoryview,
    height: int,
    width: int,
    crop_fraction: float = 1.0,
    limits: Limits = DEFAULT_LIMITS,
) -> NDArray[np.uint8]:
    """Decodes a photograph to the centre crop that a model takes.

    JPEG, PNG, WebP and GIF are read, of an animation the first frame. The picture is turned as its EXIF orientation
    says. Transparent parts are laid on white: such pictures are drawn to be shown on a page, and the colour stored
    under full transparency is arbitrary. Profiles are ignored: values are taken as sRGB. A picture that misses pixels
    is an error, even where a viewer would fill them in.

    Work is done without the GIL where it is much; any number of threads may call at once.

    Args:
        data: The encoded image; its content decides the format.
        height: Height of the result, in pixels.
        width: Width of the result, in pixels.
        crop_fraction: How much of the largest centred rectangle of the result's aspect ratio is kept, along each
            side, in (0, 1]. 0.875 is ImageNet's custom of cutting 224 out of 256 pixels.
        limits: What one image may cost.

    Returns:
        RGB, uint8 [height, width, 3], C-contiguous, owning its memory. Resized with an antialiased triangle filter.

    Raises:
        ImageError: The image cannot be used; the message may be sent to the caller.
        ValueError: height, width or crop_fraction is out of range.
    """
    crop = Crop(height, width, crop_fraction)
    limits.check_bytes(memoryview(data).nbytes)
    data = bytes(data)
    reader = _reader(data)
    header = reader.header(data)
    limits.check_pixels(header.width, header.height)
    if exif.swaps_sides(header.orientation):
        crop = crop.transposed()
    reduction = crop.reduction(header.width, header.height)
    image = reader.pixels(data, header, reduction)
    resized = crop.resize(image, header.width, header.height, reduction)
    return np.array(exif.upright(_on_white(resized), header.orientation), order="C")


def _reader(data: bytes) -> _Reader:
    """Recognises the format by its first bytes, so that no decoder ever sees another format's data."""
    if data.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if data.startswith(png.SIGNATURE):
        return _PNG
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _WEBP
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _GIF
    raise ImageError("not an image in a supported format; supported are JPEG, PNG, WebP and GIF")


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """Returns RGB pixels [H, W, 3]; RGBa has its alpha multiplied in already, so white needs only be added."""
    if image.mode != "RGBa":
        return np.asarray(image.convert("RGB"))
    pixels: NDArray[np.uint8] = np.asarray(image)
    return pixels[..., :3] + (255 - pixels[..., 3:])
