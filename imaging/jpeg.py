"""JPEG: decoded by libjpeg-turbo, at a fraction of the size where that suffices.

The decoder fills what is missing and warns; here each warning is an error, for a caller who lost half a photo should
hear of it: a file cut anywhere, also one that was given an end marker again or lost nothing but that, and one whose
restart intervals do not follow each other. Bytes before or after the end marker are accepted: all pixels are there.
Two losses cannot be noticed: a flipped bit that leaves a valid code, as JPEG has no checksum, and whole scans of a
progressive file that was given an end marker again, as the standard demands no scan of details.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import simplejpeg  # type: ignore[import-untyped]  # ships no py.typed marker
from PIL import Image

from imaging import exif
from imaging.errors import ImageError
from imaging.header import Header

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCAN = b"\xff\xda"
_APP1 = b"\xe1"
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)  # any number of fill bytes may precede a marker
_MAX_SEGMENTS = 256  # searched for EXIF; a camera writes about 20
_MAX_SCANNED_PIXELS = 2 << 30  # 16 scans of the largest picture; encoders write up to a dozen
# The decoder found all pixels and then some bytes before the end marker: some cameras pad there.
_HARMLESS = re.compile("extraneous bytes before marker 0xd9")


def read_header(data: bytes) -> Header:
    """Reads size and orientation.

    Raises:
        ImageError: The header is broken.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, LookupError):  # LookupError: a colour space or subsampling without a name
        raise ImageError("the JPEG's header is truncated, corrupt or of an unsupported kind") from None
    return Header(int(width), int(height), _orientation(data))


def read_pixels(data: bytes, header: Header, reduction: int) -> Image.Image:
    """Decodes to mode RGB at 1/`reduction` of the size.

    Raises:
        ImageError: Some pixels are missing or damaged, or the scans would take too long.
    """
    if data.count(_SCAN) * header.width * header.height > _MAX_SCANNED_PIXELS:
        raise ImageError("the JPEG has too many scans for its size")
    try:
        return _decode(data, header, reduction, strict=True)
    except ValueError as error:
        if _HARMLESS.search(str(error)) is None:
            raise ImageError("the JPEG's data is truncated or corrupt") from None
    return _decode(data, header, reduction, strict=False)


def _decode(data: bytes, header: Header, reduction: int, *, strict: bool) -> Image.Image:
    height, width = -(-header.height // reduction), -(-header.width // reduction)
    return Image.fromarray(simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, strict=strict))


def _orientation(data: bytes) -> int:
    for marker, segment in _segments(data):
        if marker == _APP1 and segment.startswith(b"Exif\0\0"):
            return exif.orientation(segment)
    return exif.UPRIGHT


def _segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields marker and content of the segments before the first scan."""
    start = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.match(data, start)
        if marker is None or marker[1] == _SCAN[1:]:
            return
        start = marker.end()
        end = start + int.from_bytes(data[start : start + 2], "big")
        yield marker[1], data[start + 2 : end]
        start = end
