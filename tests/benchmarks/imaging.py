"""CPU time that one image costs, by kind and size: `python -m tests.benchmarks.imaging`."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from imaging import decode_crop

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
ROUND_SECONDS = 0.2


class Case(NamedTuple):
    """One kind of file and the side of the square crop taken from it."""

    name: str
    data: bytes
    target: int


def cases() -> Iterator[Case]:
    """Yields tiny, ordinary and camera-sized pictures in the formats that photographs come in."""
    tiny, usual, camera = draw(32, 32), draw(500, 375), draw(4000, 3000)
    yield Case("JPEG 32x32", encode(tiny, "JPEG"), 32)
    yield Case("PNG 32x32", encode(tiny, "PNG"), 32)
    yield Case("JPEG 500x375", encode(usual, "JPEG", quality=90), 224)
    yield Case("JPEG 500x375 progressive", encode(usual, "JPEG", quality=90, progressive=True), 224)
    yield Case("JPEG 500x375 CMYK", encode(usual.convert("CMYK"), "JPEG", quality=90), 224)
    yield Case("PNG 500x375", encode(usual, "PNG"), 224)
    yield Case("PNG 500x375 alpha", encode(usual.convert("RGBA"), "PNG"), 224)
    yield Case("WebP 500x375", encode(usual, "WEBP"), 224)
    yield Case("GIF 500x375", encode(usual, "GIF"), 224)
    yield Case("JPEG 4000x3000", encode(camera, "JPEG", quality=90), 224)
    yield Case("JPEG 4000x3000 progressive", encode(camera, "JPEG", quality=90, progressive=True), 224)
    yield Case("PNG 4000x3000", encode(camera, "PNG", compress_level=1), 224)
    yield Case("WebP 4000x3000", encode(camera, "WEBP", method=0), 224)


def draw(width: int, height: int) -> Image.Image:
    """Draws coloured blobs with the grain of a photograph."""
    random = np.random.default_rng(0)
    blobs = random.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray((smooth + random.integers(-8, 9, smooth.shape)).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encodes with Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cpu_ms(case: Case) -> float:
    """Returns the CPU milliseconds of one call, as the best of several rounds: others disturb upwards only."""
    rounds = []
    for _ in range(ROUNDS):
        calls, start = 0, time.thread_time()
        while (spent := time.thread_time() - start) < ROUND_SECONDS:
            decode_crop(case.data, case.target, case.target, 0.875)
            calls += 1
        rounds.append(spent / calls * 1e3)
    return min(rounds)


def main() -> None:
    """Prints one line for each kind."""
    for case in cases():
        print(f"{case.name:28} {len(case.data) / 1024:8.0f} KiB {cpu_ms(case):9.3f} CPU ms")


if __name__ == "__main__":
    main()
