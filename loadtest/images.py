"""Photographs to send: the user's own files, or pictures made for the test."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MADE_PICTURES = 128
MOST_BYTES = 512 << 20
"""Of all images, and of all messages that are made of them: they are kept in memory, the latter by every sender."""
_WIDTH, _HEIGHT = 500, 375


def read_images(paths: Iterable[Path]) -> list[bytes]:
    """The files' bytes: of the first ones, and no more than fit into `MOST_BYTES`, but for the last."""
    images: list[bytes] = []
    size = 0
    for path in paths:
        images.append(path.read_bytes())
        size += len(images[-1])
        if size >= MOST_BYTES:
            break
    return images


def make_images(seed: int, count: int = MADE_PICTURES) -> list[bytes]:
    """JPEG files of a photograph's usual size, all different: noise on coarse and fine scales, as in nature."""
    generator = np.random.default_rng(seed)
    return [_make_image(generator) for _ in range(count)]


def _make_image(generator: np.random.Generator) -> bytes:
    picture = np.zeros((_HEIGHT, _WIDTH, 3), np.float32)
    for cells in (4, 16, 64):
        noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), np.uint8))
        picture += np.asarray(noise.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.float32) / 3
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()
