"""Pictures that the tests draw themselves."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Encode(Protocol):
    """Encodes a picture with Pillow."""

    def __call__(self, image: Image.Image, kind: str, /, **options: Any) -> bytes:
        """Returns the file; the options are Pillow's."""


@pytest.fixture(scope="session")
def encode() -> Encode:
    """The encoder."""

    def encode(image: Image.Image, kind: str, /, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A smooth, colourful RGB picture, 96 wide and 64 high, without any symmetry."""
    return draw_photo(96, 64)


@pytest.fixture(scope="session")
def large_photo() -> Image.Image:
    """The same kind of picture, 1600 wide and 1203 high, with fine grain."""
    pixels = np.asarray(draw_photo(1600, 1203)).astype(np.int16)
    grain = np.random.default_rng(1).integers(-20, 21, pixels.shape)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def draw_photo(width: int, height: int) -> Image.Image:
    """Draws coloured blobs."""
    blobs = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def reference_crop() -> Callable[[NDArray[Any], int, int, float], NDArray[np.float64]]:
    """The crop, computed in floating point by the definition of the antialiased triangle filter."""
    return _reference_crop


def _reference_crop(pixels: NDArray[Any], height: int, width: int, fraction: float) -> NDArray[np.float64]:
    scale = min(pixels.shape[0] / height, pixels.shape[1] / width) * fraction
    rows = _triangle_weights(pixels.shape[0], height, scale)
    columns = _triangle_weights(pixels.shape[1], width, scale)
    return np.einsum("yh,hwc,xw->yxc", rows, pixels.astype(np.float64), columns, optimize=True)


def _triangle_weights(source: int, target: int, scale: float) -> NDArray[np.float64]:
    """Weights [target, source]: how much each source pixel counts in each target pixel."""
    centres = source / 2 + (np.arange(target) + 0.5 - target / 2) * scale
    distances = np.abs(np.arange(source) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return weights / weights.sum(axis=1, keepdims=True)


class MakePng(Protocol):
    """Assembles a PNG by hand."""

    def __call__(self, header: tuple[int, ...], rows: bytes, **chunks: bytes) -> bytes:
        """Returns the file; `header` is width, height, depth, colour type and interlacing."""


@pytest.fixture(scope="session")
def make_png() -> MakePng:
    """The assembler: other chunks go between header and pixels."""

    def make_png(header: tuple[int, ...], rows: bytes, **chunks: bytes) -> bytes:
        width, height, depth, colour_type, interlacing = header
        content = [("IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlacing))]
        content += [*chunks.items(), ("IDAT", zlib.compress(rows)), ("IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind.encode(), data) for kind, data in content)

    return make_png


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
