"""The kinds of JPEG that cameras and programs write, and the ways in which they are damaged."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from imaging import ImageError, decode_crop, jpeg
from imaging.crop import Crop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Encode = Callable[..., bytes]

END = b"\xff\xd9"


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"progressive": True},
        {"restart_marker_blocks": 2},
        {"optimize": True},
        {"comment": b"x" * 60000},
        {"keep_rgb": True},
    ],
)
def test_kinds(photo: Image.Image, encode: Encode, options: dict[str, Any]) -> None:
    """Each kind decodes to the picture that was encoded."""
    crop = decode_crop(encode(photo, "JPEG", quality=95, **options), 64, 96)
    assert np.abs(crop.astype(int) - np.asarray(photo)).mean() < 2


def test_grey(photo: Image.Image, encode: Encode) -> None:
    """A greyscale JPEG has three equal channels."""
    grey = photo.convert("L")
    crop = decode_crop(encode(grey, "JPEG", quality=95), 64, 96)
    assert np.ptp(crop, axis=2).max() == 0
    assert np.abs(crop[..., 0].astype(int) - np.asarray(grey)).mean() < 2


def test_cmyk_inks_darken(photo: Image.Image, encode: Encode) -> None:
    """Each ink takes its share of the light that the black ink leaves."""
    inks = _inks(photo)
    crop = decode_crop(encode(Image.fromarray(inks, mode="CMYK"), "JPEG", quality=98, subsampling=0), 64, 96)
    assert np.abs(crop - _light(inks)).mean() < 2


def test_ycck_as_photo_editors_write_it(photo: Image.Image, encode: Encode) -> None:
    """Inks stored as inverted luminance and chroma decode to the same colours as CMYK."""
    inks = _inks(photo)
    # The encoder stores what it is given, inverted; so give it the inverse of the planes that YCCK stores.
    luma_chroma = np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr"))
    planes = np.dstack([255 - luma_chroma, inks[..., 3]])
    data = bytearray(encode(Image.fromarray(planes, mode="CMYK"), "JPEG", quality=98, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2  # the colour transform: YCCK
    assert np.abs(decode_crop(bytes(data), 64, 96) - _light(inks)).mean() < 3


def _inks(photo: Image.Image) -> NDArray[np.uint8]:
    black = np.linspace(0, 180, 64).astype(np.uint8)[:, None] * np.ones((1, 96), np.uint8)
    return np.dstack([255 - np.asarray(photo), black])


def _light(inks: NDArray[np.uint8]) -> NDArray[np.float64]:
    light: NDArray[np.float64] = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    return light


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize(("target", "reduction"), [(32, 8), (64, 8), (100, 4), (224, 2), (400, 1)])
def test_fast_path_agrees_with_full_decoding(
    large_photo: Image.Image, encode: Encode, options: dict[str, Any], target: int, reduction: int
) -> None:
    """Decoding at a reduced scale costs no visible quality: a difference of one level on average."""
    data = encode(large_photo, "JPEG", quality=90, **options)
    header = jpeg.read_header(data)
    crop = Crop(target, target, 0.875)
    assert crop.reduction(header.width, header.height) == reduction
    slow = crop.resize(jpeg.read_pixels(data, header, 1), header.width, header.height, 1)
    difference = np.abs(decode_crop(data, target, target, 0.875).astype(int) - np.asarray(slow))
    assert difference.mean() < 1
    assert difference.max() <= 12


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_cut_that_is_papered_over_is_still_truncated(
    photo: Image.Image, encode: Encode, options: dict[str, Any]
) -> None:
    """A file that lost its second half, but ends with the end marker, is refused."""
    data = encode(photo, "JPEG", **options)
    with pytest.raises(ImageError, match="truncated"):
        decode_crop(data[: len(data) // 2] + END, 32, 32)


def test_missing_end_marker_is_truncated(photo: Image.Image, encode: Encode) -> None:
    """Without its end marker nobody can say whether a JPEG is whole."""
    with pytest.raises(ImageError, match="truncated"):
        decode_crop(encode(photo, "JPEG").removesuffix(END), 32, 32)


def test_lost_restart_intervals_are_refused(photo: Image.Image, encode: Encode) -> None:
    """The decoder could resume at the next restart marker, and would show a damaged picture."""
    data = encode(photo, "JPEG", restart_marker_blocks=1)
    start, end = data.index(b"\xff\xd1"), data.index(b"\xff\xd5")
    with pytest.raises(ImageError, match="corrupt"):
        decode_crop(data[:start] + data[end:], 32, 32)


def test_padding_around_the_end_marker_is_harmless(photo: Image.Image, encode: Encode) -> None:
    """Bytes that some cameras leave before or after the end marker change nothing."""
    data = encode(photo, "JPEG")
    whole = decode_crop(data, 32, 32)
    np.testing.assert_array_equal(decode_crop(data[:-2] + bytes(50) + END, 32, 32), whole)
    np.testing.assert_array_equal(decode_crop(data + b"a second picture", 32, 32), whole)


def test_a_header_that_promises_more_rows_is_refused(photo: Image.Image, encode: Encode) -> None:
    """A picture of 64 rows whose header says 640 is not padded."""
    data = bytearray(encode(photo, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = struct.pack(">H", 640)
    with pytest.raises(ImageError, match="truncated or corrupt"):
        decode_crop(bytes(data), 32, 32)


def test_endless_scans_are_refused_before_decoding(photo: Image.Image, encode: Encode) -> None:
    """Five kilobytes cannot ask for thousands of passes over a hundred megapixels."""
    data = bytearray(encode(photo.convert("L"), "JPEG", progressive=True))
    frame = data.index(b"\xff\xc2")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 10000, 10000)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x02"
    with pytest.raises(ImageError, match="too many scans"):
        decode_crop(bytes(data[:-2]) + scan * 500 + END, 32, 32)


def test_exif_after_other_segments_is_found(photo: Image.Image, encode: Encode) -> None:
    """The orientation counts wherever before the pixels it stands, fill bytes included."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
    segment = b"\xff\xff\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    data = encode(photo, "JPEG", comment=b"first")
    tables = data.index(b"\xff\xdb")
    turned = decode_crop(data[:tables] + segment + data[tables:], 64, 96)
    np.testing.assert_array_equal(turned, decode_crop(data, 64, 96)[::-1, ::-1])
