"""Whatever the bytes, the answer is a crop or an ImageError that may be shown to the caller."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imaging import ImageError, Limits, decode_crop

if TYPE_CHECKING:
    from collections.abc import Callable

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SMALL = Limits(max_pixels=1 << 20)  # so that a mutated header that promises more ends at once


def _valid_files() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (19, 27, 4), dtype=np.uint8)
    rgba = Image.fromarray(pixels)
    rgb, indexed = rgba.convert("RGB"), rgba.convert("RGB").quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [rgb.transpose(Image.Transpose.ROTATE_180)]}
    return [
        _encode(rgb, "JPEG", exif=exif, restart_marker_blocks=1),
        _encode(rgb, "JPEG", progressive=True),
        _encode(rgb.convert("CMYK"), "JPEG"),
        _encode(rgb.convert("L"), "JPEG"),
        _encode(rgba, "PNG", exif=exif),
        _encode(indexed, "PNG", transparency=3),
        _encode(rgb.convert("I;16"), "PNG"),
        _encode(rgb.convert("1"), "PNG"),
        _encode(rgb, "PNG", **frames),
        _encode(rgb, "WEBP", exif=exif),
        _encode(rgba, "WEBP", lossless=True),
        _encode(rgb, "WEBP", **frames),
        _encode(indexed, "GIF", transparency=3),
        _encode(rgb, "GIF", comment=b"comment", **frames),
    ]


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


VALID_FILES = _valid_files()


def _with_right_checksums(data: bytes) -> bytes:
    """Repairs a PNG's checksums, so that mutations get past them."""
    repaired, start = bytearray(data[:8]), 8
    while start + 12 <= len(data) and (length := int.from_bytes(data[start : start + 4], "big")) < len(data):
        body = data[start + 4 : start + 8 + length]
        repaired += data[start : start + 4] + body + struct.pack(">I", zlib.crc32(body))
        start += 12 + length
    return bytes(repaired)


@st.composite
def _damaged_files(draw: Callable[..., Any]) -> bytes:
    data = bytearray(draw(st.sampled_from(VALID_FILES)))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, len(data)])))))
        removed = draw(st.integers(0, 6))
        data[start : start + removed] = draw(st.binary(max_size=6))
    data = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    return _with_right_checksums(bytes(data)) if data.startswith(PNG_SIGNATURE) else bytes(data)


def _assert_crop_or_image_error(data: bytes) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            crop = decode_crop(data, 12, 10, 0.875, SMALL)
        except ImageError as error:
            _assert_safe(str(error))
        else:
            assert crop.shape == (12, 10, 3)
    assert not warned


def _assert_safe(message: str) -> None:
    """The message is a sentence about the image, not a glimpse of the program."""
    assert message
    assert message.isascii()
    assert not any(word in message for word in ("<", " at 0x", "PIL", "Pillow", "turbo", "Traceback", ".py", "b'"))


@settings(max_examples=800)
@given(_damaged_files())
def test_damaged_files(data: bytes) -> None:
    """A mutated or truncated file ends well, without a warning."""
    _assert_crop_or_image_error(data)


@settings(max_examples=300)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", PNG_SIGNATURE, b"GIF89a", b"GIF87a", b"RIFF\x40\0\0\0WEBPVP8X", b"BM"]),
    st.binary(max_size=200),
)
def test_random_bytes(start: bytes, rest: bytes) -> None:
    """Noise, also behind a format's first bytes, ends well, without a warning."""
    _assert_crop_or_image_error(start + rest)
