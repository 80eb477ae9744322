"""Which part of a picture the model sees, and how it is brought to the model's size."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

_REDUCTIONS = (8, 4, 2)  # those that a JPEG decoder has in its inverse DCT


@dataclass(frozen=True, slots=True)
class Crop:
    """The largest centred rectangle of the target's aspect ratio, shrunk by `fraction`, resized to the target.

    Attributes:
        height: Target height, in pixels.
        width: Target width, in pixels.
        fraction: Share of the rectangle's sides that is kept, in (0, 1].
    """

    height: int
    width: int
    fraction: float

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a crop needs at least 1x1 pixels, got {self.width}x{self.height}")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"crop_fraction must be in (0, 1], got {self.fraction}")

    def transposed(self) -> Crop:
        """The same crop for a picture that is stored with its sides swapped."""
        return Crop(self.width, self.height, self.fraction)

    def reduction(self, width: int, height: int) -> int:
        """By how much a decoder may shrink a picture: 1, 2, 4 or 8, leaving at least twice the target's size."""
        shrink = self._source_pixels_per_target_pixel(width, height)
        return next((reduction for reduction in _REDUCTIONS if shrink >= 2 * reduction), 1)

    def resize(self, image: Image.Image, width: int, height: int, reduction: int) -> Image.Image:
        """Cuts and resizes, with an antialiased triangle filter.

        Args:
            image: The picture, already shrunk by `reduction`.
            width: Its width before that.
            height: Its height before that.
            reduction: As returned by `reduction`.

        Returns:
            An image of exactly the target's size, in the same mode.
        """
        scale = self._source_pixels_per_target_pixel(width, height)
        left = max(0.0, (width - scale * self.width) / 2) / reduction
        top = max(0.0, (height - scale * self.height) / 2) / reduction
        box = (left, top, width / reduction - left, height / reduction - top)
        return image.resize((self.width, self.height), Image.Resampling.BILINEAR, box)

    def _source_pixels_per_target_pixel(self, width: int, height: int) -> float:
        return min(width / self.width, height / self.height) * self.fraction
