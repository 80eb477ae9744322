"""Labelled images as tensors: decoded to the very crops that a server makes, and split to train and to test."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from imaging import ImageError, decode_crop
from imaging.labelled_images import LabelledImages
from modeling.command import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_DECODED_AHEAD = 64  # enough to keep every core busy


class DataSet(LabelledImages):
    """Labelled images to train and to test with."""

    __slots__ = ()

    def fingerprint(self) -> str:
        """Tell what tells data sets apart and is cheap to look at: the sizes of the images' files, and their labels."""
        sizes = [image.stat().st_size if isinstance(image, Path) else len(image) for image in self.images]
        return hashlib.sha256(np.array([sizes, self.labels], "<i8").tobytes()).hexdigest()[:16]

    def select(self, indices: Sequence[int]) -> DataSet:
        """Return the images of these indices."""
        return replace(
            self,
            images=[self.images[i] for i in indices],
            labels=[self.labels[i] for i in indices],
            places=[self.place(i) for i in indices],
        )

    def hold_out(self, share: float, seed: int = 0) -> tuple[DataSet, DataSet]:
        """Split into images to train on and a share of each class, at least one image of it, to test with.

        Each image has a rank of its own, whatever else there is, so that a run that goes on from another one with the
        same share and seed tests with no image that was learned.

        Raises:
            InputError: A class has only one image, or the share is none, or leaves none to train on.
        """
        if not 0 < share < 1:
            raise InputError(f"the share to hold out must be above 0 and below 1, got {share}")
        labels = np.asarray(self.labels)
        kept: list[int] = []
        held_out: list[int] = []
        for label, name in enumerate(self.classes):
            indices = sorted(np.flatnonzero(labels == label).tolist(), key=lambda index: self._rank(index, seed))
            count = max(1, round(share * len(indices)))
            if count >= len(indices):
                raise InputError(f"cannot hold out {share} of the {len(indices)} images of {name!r} in {self.name}")
            held_out += indices[:count]
            kept += indices[count:]
        return self.select(sorted(kept)), self.select(sorted(held_out))

    def _rank(self, index: int, seed: int) -> bytes:
        """Say where an image stands among those to hold out: its path in the folder decides, or its packed content."""
        image = self.images[index]
        own = os.fsencode(os.path.relpath(image, self.name)) if isinstance(image, Path) else image
        return hashlib.sha256(b"%d " % seed + own).digest()

    def decode(self, size: int, crop_fraction: float) -> tuple[Tensor, Tensor]:
        """Decode all images to the crops that a server would make of them.

        Returns:
            uint8 [N, size, size, 3] and int64 [N].

        Raises:
            InputError: An image cannot be read.
        """
        pixels = np.empty((len(self.images), size, size, 3), np.uint8)
        crops = self.crops(size, crop_fraction)
        for index, crop in enumerate(tqdm(crops, f"reading {self.name}", len(pixels), unit="image", disable=None)):
            pixels[index] = crop
        return torch.from_numpy(pixels), torch.tensor(self.labels, dtype=torch.int64)

    def crops(self, size: int, crop_fraction: float) -> Iterator[NDArray[np.uint8]]:
        """Yield the crop of each image, uint8 [size, size, 3], in their order; only a few are held at a time.

        Raises:
            InputError: An image cannot be read.
        """
        decode_one = partial(self._decode_one, size=size, crop_fraction=crop_fraction)
        indices = iter(range(len(self.images)))
        # Decoding releases the interpreter's lock where it takes long, and goes on while the caller computes.
        with ThreadPoolExecutor() as pool:
            ahead = deque(pool.submit(decode_one, index) for index in islice(indices, _DECODED_AHEAD))
            while ahead:
                crop = ahead.popleft().result()
                ahead.extend(pool.submit(decode_one, index) for index in islice(indices, 1))
                yield crop

    def _decode_one(self, index: int, size: int, crop_fraction: float) -> NDArray[np.uint8]:
        image = self.images[index]
        try:
            content = image.read_bytes() if isinstance(image, Path) else image
            return decode_crop(content, size, size, crop_fraction)
        except (ImageError, OSError) as error:
            raise InputError(f"{self.where(index)}: {error}") from None
