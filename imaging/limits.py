"""How large an image may be, checked before any of its pixels is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.errors import ImageError

_MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one image may cost.

    Decoding holds all pixels at once: up to 4 bytes a pixel for PNG and GIF (8 while an alpha channel is flattened),
    up to 16 for WebP, up to 6 for a progressive JPEG; a baseline JPEG needs little more than its crop.

    Attributes:
        max_bytes: Largest encoded size, in bytes.
        max_pixels: Largest width times height that a header may promise.
    """

    max_bytes: int = 256 * _MEBI
    max_pixels: int = 128 * _MEBI

    def check_bytes(self, size: int) -> None:
        """Raises ImageError if the encoded image is empty or too large."""
        if size == 0:
            raise ImageError("the image is empty (0 bytes)")
        if size > self.max_bytes:
            raise ImageError(f"the image has {size} bytes; the limit is {self.max_bytes}")

    def check_pixels(self, width: int, height: int) -> None:
        """Raises ImageError if the header promises no pixels or too many."""
        if width < 1 or height < 1:
            raise ImageError(f"the image's header promises {width}x{height} pixels; both sides must be at least 1")
        if width * height > self.max_pixels:
            raise ImageError(
                f"the image has {width}x{height} = {width * height} pixels; the limit is {self.max_pixels}"
            )


DEFAULT_LIMITS = Limits()
