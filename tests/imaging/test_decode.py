"""What holds for every format, seen through the public function."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from imaging import ImageError, decode_crop

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Encode = Callable[..., bytes]
    ReferenceCrop = Callable[[NDArray[Any], int, int, float], NDArray[np.float64]]

LOSSLESS = [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})]
EVERY_FORMAT = [("JPEG", {"quality": 95, "subsampling": 0}), *LOSSLESS, ("WEBP", {"quality": 95}), ("GIF", {})]
# EXIF 2.32, 4.6.4 A: which visual side the stored picture's row 0 and column 0 are.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 50), (50, 20), (64, 96), (128, 128)])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.3])
def test_crop_is_the_centred_antialiased_resize(
    photo: Image.Image,
    encode: Encode,
    reference_crop: ReferenceCrop,
    kind: str,
    options: dict[str, Any],
    height: int,
    width: int,
    fraction: float,
) -> None:
    """Every pixel is within rounding of the triangle filter computed in floating point."""
    crop = decode_crop(encode(photo, kind, **options), height, width, fraction)
    assert np.abs(crop - reference_crop(np.asarray(photo), height, width, fraction)).max() <= 1.5


@pytest.mark.parametrize(("kind", "options"), EVERY_FORMAT)
def test_result_is_a_fresh_contiguous_array(
    photo: Image.Image, encode: Encode, kind: str, options: dict[str, Any]
) -> None:
    """Callers get uint8 [H, W, 3] that they may keep and write to."""
    crop = decode_crop(memoryview(encode(photo, kind, **options)), 24, 16)
    assert crop.dtype == np.uint8
    assert crop.shape == (24, 16, 3)
    assert crop.flags.c_contiguous
    assert crop.flags.owndata
    assert crop.flags.writeable


@pytest.mark.parametrize(("kind", "options"), EVERY_FORMAT)
def test_colours_survive(photo: Image.Image, encode: Encode, kind: str, options: dict[str, Any]) -> None:
    """Colours are right in every format: red is not blue, and dark is not light."""
    crop = decode_crop(encode(photo, kind, **options), 64, 96).astype(float)
    assert np.abs(crop - np.asarray(photo)).mean() < 8


@pytest.mark.parametrize(("kind", "options"), EVERY_FORMAT)
@pytest.mark.parametrize("size", [(1, 1), (1, 10000), (10000, 1), (3, 2)])
def test_extreme_shapes(encode: Encode, kind: str, options: dict[str, Any], size: tuple[int, int]) -> None:
    """A picture of one colour stays that colour however thin it is."""
    crop = decode_crop(encode(Image.new("RGB", size, (200, 100, 50)), kind, **options), 224, 224, 0.875)
    assert np.abs(crop.astype(int) - (200, 100, 50)).max() <= 4


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize(("kind", "options"), [*LOSSLESS, ("JPEG", {"quality": 98, "subsampling": 0})])
def test_every_orientation_is_turned_upright(
    photo: Image.Image, encode: Encode, kind: str, options: dict[str, Any], orientation: int
) -> None:
    """A picture stored in any of the eight ways looks as the photographer saw it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(_stored(np.asarray(photo), *SIDES[orientation]))
    crop = decode_crop(encode(stored, kind, exif=exif, **options), 64, 96)
    assert np.abs(crop.astype(int) - np.asarray(photo)).max() <= (12 if kind == "JPEG" else 0)


def _stored(visual: NDArray[np.uint8], row_0: str, column_0: str) -> NDArray[np.uint8]:
    """Lays a picture out as a camera held in that position would store it, pixel by pixel."""
    height, width, _ = visual.shape
    turned = row_0 in ("left", "right")
    stored = np.zeros((width, height, 3) if turned else (height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            from_side = {"top": y, "bottom": height - 1 - y, "left": x, "right": width - 1 - x}
            stored[from_side[row_0], from_side[column_0]] = visual[y, x]
    return stored


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0I", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0", b"Exif\0\0garbage"]
)
def test_broken_exif_does_not_reject_a_photo(photo: Image.Image, encode: Encode, kind: str, exif: bytes) -> None:
    """A decodable photo with damaged metadata is taken as upright."""
    plain, broken = encode(photo, kind), encode(photo, kind, exif=exif)
    assert plain != broken
    np.testing.assert_array_equal(decode_crop(broken, 32, 32), decode_crop(plain, 32, 32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_profile_does_not_reject_a_photo(photo: Image.Image, encode: Encode, kind: str) -> None:
    """A garbage colour profile changes nothing."""
    garbage = encode(photo, kind, icc_profile=b"\xff" * 500)
    np.testing.assert_array_equal(decode_crop(garbage, 32, 32), decode_crop(encode(photo, kind), 32, 32))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_first_frame_of_an_animation(photo: Image.Image, encode: Encode, kind: str) -> None:
    """An animation stands for its first frame."""
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    frames = [photo, photo.transpose(Image.Transpose.ROTATE_180)]
    animation = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
    still = encode(photo, kind, **options)
    assert len(animation) > len(still)
    np.testing.assert_array_equal(decode_crop(animation, 32, 32), decode_crop(still, 32, 32))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_transparency_is_laid_on_white(
    photo: Image.Image, encode: Encode, reference_crop: ReferenceCrop, kind: str, options: dict[str, Any]
) -> None:
    """Alpha blends with white before the resize, so hidden colours do not leak from transparent neighbours."""
    alpha = np.linspace(0, 255, 96).round().astype(np.uint8) * np.ones((64, 1), np.uint8)
    alpha[::7] = 0
    pixels = np.dstack([np.asarray(photo), alpha])
    blended = pixels[..., :3] * (alpha[..., None] / 255) + 255.0 - alpha[..., None]
    crop = decode_crop(encode(Image.fromarray(pixels), kind, **options), 24, 24)
    assert np.abs(crop - reference_crop(blended, 24, 24, 1.0)).max() <= 2.5


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "AVIF", "JPEG2000", "EPS", "PDF"])
def test_other_formats_are_refused_by_name(photo: Image.Image, encode: Encode, kind: str) -> None:
    """Only four formats are read, and the error lists them."""
    with pytest.raises(ImageError, match="supported are JPEG, PNG, WebP and GIF"):
        decode_crop(encode(photo, kind), 32, 32)


def test_content_decides_the_format_not_what_it_claims(photo: Image.Image, encode: Encode) -> None:
    """A TIFF behind a JPEG's first bytes reaches the JPEG decoder alone, which refuses it."""
    with pytest.raises(ImageError, match="JPEG"):
        decode_crop(b"\xff\xd8\xff" + encode(photo, "TIFF"), 32, 32)


@pytest.mark.parametrize(("kind", "options"), [*EVERY_FORMAT, ("JPEG", {"progressive": True})])
def test_a_prefix_of_a_file_is_never_a_different_picture(encode: Encode, kind: str, options: dict[str, Any]) -> None:
    """Cut anywhere, a file is an error, unless what is missing holds no pixel."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8))
    data = encode(noise, kind, **options)
    whole = decode_crop(data, 16, 16)
    accepted = [length for length in range(len(data)) if _decodes_to(data[:length], whole)]
    assert accepted == ([len(data) - 2, len(data) - 1] if kind == "GIF" else [])


def _decodes_to(data: bytes, expected: NDArray[np.uint8]) -> bool:
    try:
        crop = decode_crop(data, 16, 16)
    except ImageError:
        return False
    np.testing.assert_array_equal(crop, expected)
    return True


@pytest.mark.parametrize(("height", "width", "fraction"), [(0, 8, 1.0), (8, -1, 1.0), (8, 8, 0.0), (8, 8, 1.1)])
def test_impossible_crops_are_the_callers_mistake(
    photo: Image.Image, encode: Encode, height: int, width: int, fraction: float
) -> None:
    """A wrong argument is a ValueError that does not blame the image."""
    with pytest.raises(ValueError, match="crop") as error:
        decode_crop(encode(photo, "PNG"), height, width, fraction)
    assert not isinstance(error.value, ImageError)


def test_threads_do_not_disturb_each_other(photo: Image.Image, encode: Encode) -> None:
    """Concurrent calls return what calls one after the other return."""
    files = [encode(photo.rotate(angle), kind, **options) for angle in range(8) for kind, options in EVERY_FORMAT]
    alone = [decode_crop(data, 48, 48) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode_crop(data, 48, 48), files * 4))
    for index, crop in enumerate(together):
        np.testing.assert_array_equal(crop, alone[index % len(files)])
