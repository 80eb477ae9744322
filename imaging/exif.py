"""The orientation a camera noted in EXIF: the one tag that decides how a picture looks.

Read here and not with an EXIF library because those warn, or fail, about every other broken tag.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_MAX_ENTRIES = 512  # a camera writes about 20
# EXIF 2.32, 4.6.4 A, tag Orientation: transpose (rows become columns) first, then flip rows and columns.
_STEPS = {  # orientation: (transpose, flip top to bottom, flip left to right)
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orientation(exif: bytes) -> int:
    """Finds the orientation in EXIF data.

    Args:
        exif: A TIFF structure, with or without the leading `Exif` marker.

    Returns:
        1 to 8 as in EXIF; 1 (upright) where the data is broken or says nothing, for a photo is worth more than its
        metadata.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        return _orientation_in_first_directory(tiff, order)
    except struct.error:
        return UPRIGHT


def _orientation_in_first_directory(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for index in range(min(count, _MAX_ENTRIES)):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + index * _ENTRY_BYTES)
        if tag == _ORIENTATION_TAG:
            return value if kind == _SHORT and value in _STEPS else UPRIGHT
    return UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Tells whether the upright picture's width is the stored picture's height."""
    return _STEPS[orientation][0]


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turns a stored picture [H, W, 3] the right way up; returns a view."""
    transpose, flip_rows, flip_columns = _STEPS[orientation]
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
