"""What a reader learns of a picture before it decodes any pixel."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.exif import UPRIGHT


@dataclass(frozen=True, slots=True)
class Header:
    """Size and position of the stored picture.

    Attributes:
        width: In pixels, as stored, before the orientation is applied.
        height: In pixels, as stored.
        orientation: 1 to 8 as in EXIF.
    """

    width: int
    height: int
    orientation: int = UPRIGHT
