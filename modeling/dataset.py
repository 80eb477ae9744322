"""Labelled images and their decoding, once, to the very crops that a server makes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from imaging import ImageError, decode_crop
from modeling.command import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Encoded images and what they show.

    Attributes:
        name: Where they come from, for messages.
        images: Each a file, or its content.
        labels: An index into `classes` for each image.
        classes: The names of the classes.
    """

    name: str
    images: Sequence[Path | bytes]
    labels: Sequence[int]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise InputError(f"{self.name} has {len(self.images)} images but {len(self.labels)} labels")
        if len(self.classes) < 2:  # noqa: PLR2004 - one class needs no classifier
            raise InputError(f"{self.name} has fewer than two classes")

    def require_every_class(self) -> LabelledImages:
        """Return the images themselves.

        Raises:
            InputError: A class has no image.
        """
        absent = sorted(set(range(len(self.classes))) - set(self.labels))
        if absent:
            raise InputError(f"{self.name} has no image of class {self.classes[absent[0]]!r}")
        return self

    def select(self, indices: Sequence[int]) -> LabelledImages:
        """Return the images of these indices."""
        images, labels = [self.images[i] for i in indices], [self.labels[i] for i in indices]
        return LabelledImages(self.name, images, labels, self.classes)

    def hold_out(self, share: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """Split into images to train on and a share of each class, at least one image of it, to test with.

        Raises:
            InputError: A class has only one image, or the share leaves none to train on.
        """
        generator = np.random.default_rng(seed)
        kept: list[int] = []
        held_out: list[int] = []
        for label, name in enumerate(self.classes):
            indices = generator.permutation(np.flatnonzero(np.asarray(self.labels) == label)).tolist()
            count = max(1, round(share * len(indices)))
            if not 0 < share < 1 or count >= len(indices):
                raise InputError(f"cannot hold out {share} of the {len(indices)} images of {name!r} in {self.name}")
            held_out += indices[:count]
            kept += indices[count:]
        return self.select(sorted(kept)), self.select(sorted(held_out))

    def with_classes(self, classes: tuple[str, ...]) -> LabelledImages:
        """Return the same images with labels that index another list of classes, in which all their names must be.

        Raises:
            InputError: A class is not in that list.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise InputError(f"{self.name} has the class {unknown[0]!r}, which the model does not know")
        position = [classes.index(name) for name in self.classes]
        return LabelledImages(self.name, self.images, [position[label] for label in self.labels], classes)

    def decode(self, size: int, crop_fraction: float) -> tuple[Tensor, Tensor]:
        """Decode all images to the crops that a server would make of them.

        Returns:
            uint8 [N, size, size, 3] and int64 [N].

        Raises:
            InputError: An image cannot be read.
        """
        pixels = np.empty((len(self.images), size, size, 3), np.uint8)

        def decode_one(index: int) -> None:
            pixels[index] = self._decode_one(index, size, crop_fraction)

        # Decoding releases the interpreter's lock where it takes long.
        with ThreadPoolExecutor() as pool:
            results = pool.map(decode_one, range(len(pixels)))
            for _ in tqdm(results, f"reading {self.name}", len(pixels), unit="image", disable=None):
                pass
        return torch.from_numpy(pixels), torch.tensor(self.labels, dtype=torch.int64)

    def _decode_one(self, index: int, size: int, crop_fraction: float) -> NDArray[np.uint8]:
        image = self.images[index]
        try:
            content = image.read_bytes() if isinstance(image, Path) else image
            return decode_crop(content, size, size, crop_fraction)
        except (ImageError, OSError) as error:
            where = image if isinstance(image, Path) else f"{self.name}, image {index}"
            raise InputError(f"{where}: {error}") from None
