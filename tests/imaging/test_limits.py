"""What an image may cost, and that it is refused before it costs that."""

from __future__ import annotations

import resource
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from imaging import DEFAULT_LIMITS, ImageError, Limits, decode_crop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Encode = Callable[..., bytes]

MEBI = 1 << 20


def test_empty_image() -> None:
    """No bytes are no image."""
    with pytest.raises(ImageError, match="empty"):
        decode_crop(b"", 32, 32)


def test_bytes_are_bounded(photo: Image.Image, encode: Encode) -> None:
    """A file one byte over the limit is refused with both numbers, one at the limit is not."""
    data = encode(photo, "PNG")
    decode_crop(data, 32, 32, limits=Limits(max_bytes=len(data)))
    with pytest.raises(ImageError, match=f"{len(data)} bytes; the limit is {len(data) - 1}"):
        decode_crop(data, 32, 32, limits=Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_pixels_are_bounded(photo: Image.Image, encode: Encode, kind: str) -> None:
    """In every format, a picture one pixel over the limit is refused with its size, one at the limit is not."""
    data = encode(photo, kind)
    decode_crop(data, 32, 32, limits=Limits(max_pixels=96 * 64))
    with pytest.raises(ImageError, match=f"96x64 = 6144 pixels; the limit is {96 * 64 - 1}"):
        decode_crop(data, 32, 32, limits=Limits(max_pixels=96 * 64 - 1))


def _huge_jpeg(encode: Encode) -> bytes:
    data = bytearray(encode(Image.new("RGB", (8, 8)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 50000, 50000)
    return bytes(data)


def _huge_png(encode: Encode) -> bytes:
    data = bytearray(encode(Image.new("RGB", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 50000, 50000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def _huge_webp(encode: Encode) -> bytes:
    data = bytearray(encode(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP"))
    data[24:30] = (49999).to_bytes(3, "little") * 2
    return bytes(data)


def _huge_gif(encode: Encode) -> bytes:
    data = bytearray(encode(Image.new("P", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", 50000, 50000)
    return bytes(data)


@pytest.mark.parametrize("bomb", [_huge_jpeg, _huge_png, _huge_webp, _huge_gif])
def test_bombs_cost_nothing(encode: Encode, bomb: Callable[[Encode], bytes]) -> None:
    """A header that promises 2.5 gigapixels is refused before memory for them is asked for."""
    data = bomb(encode)
    with (
        _memory_left(64 * MEBI),
        pytest.raises(ImageError, match="50000x50000 = 2500000000 pixels; the limit is 134217728"),
    ):
        decode_crop(data, 32, 32)


@contextmanager
def _memory_left(count: int) -> Iterator[None]:
    """Let this process ask for no more than so many bytes, used or not."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_memory_can_be_bounded() -> None:
    """The bound that the test before relies on holds."""
    with _memory_left(64 * MEBI), pytest.raises(MemoryError):
        Image.new("RGB", (20000, 20000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_hundred_megapixels_pass(encode: Encode, kind: str) -> None:
    """The largest pictures that cameras take are within the defaults."""
    data = encode(Image.new("1" if kind == "PNG" else "L", (10000, 10000), 255), kind)
    assert DEFAULT_LIMITS.max_pixels == 128 * MEBI
    assert (decode_crop(data, 32, 32) == 255).all()
