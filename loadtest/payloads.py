"""What to send: the user's own images, or pictures made for the test."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import grpc
import numpy as np
from PIL import Image

from proto import classifier_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CLASSIFY = "/coordserve.v1.Classifier/Classify"
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_PICTURES, _WIDTH, _HEIGHT = 32, 500, 375


def classify_messages(images: Iterable[bytes], model: str) -> list[bytes]:
    """Serialised requests for `CLASSIFY`, one for each encoded image."""
    return [classifier_pb2.ClassifyRequest(model_name=model, images=[image]).SerializeToString() for image in images]


def judge_classification(reply: bytes) -> str:
    """OK, or the code of the first image that failed, of a serialised ClassifyResponse."""
    response = classifier_pb2.ClassifyResponse.FromString(reply)
    codes = [result.error.code for result in response.results if result.HasField("error")]
    return _CODE_NAMES[codes[0]] if codes else "OK"


def read_images(paths: Iterable[Path]) -> list[bytes]:
    """The files' bytes."""
    return [path.read_bytes() for path in paths]


def make_images(seed: int) -> list[bytes]:
    """JPEG files of a photograph's usual size, all different: noise on coarse and fine scales, as in nature."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(_PICTURES):
        picture = np.zeros((_HEIGHT, _WIDTH, 3))
        for cells in (4, 16, 64):
            noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), np.uint8))
            picture += np.asarray(noise.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)) / 3
        file = io.BytesIO()
        Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=90)
        images.append(file.getvalue())
    return images
