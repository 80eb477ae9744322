"""Encoded images and what they show: from a folder of class folders, or from a packed `.npz` file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.lib.npyio import NpzFile

from imaging.errors import InputError
from imaging.image_files import find_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Encoded images and what they show.

    Attributes:
        name: Where they come from, for messages.
        images: Each a file, or its content.
        labels: An index into `classes` for each image.
        classes: The names of the classes.
        places: Where in its source each image is, counted from 0, if only some of them are here.
    """

    name: str
    images: Sequence[Path | bytes]
    labels: Sequence[int]
    classes: tuple[str, ...]
    places: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise InputError(f"{self.name} has {len(self.images)} images but {len(self.labels)} labels")
        if not self.classes:
            raise InputError(f"{self.name} has no classes")

    @classmethod
    def read(cls, source: Path) -> Self:
        """Read a folder of class folders, or a packed file.

        A folder's folders are named like the classes; what is hidden, at any depth, is left out. A packed file is an
        `.npz` file of the arrays `jpeg` uint8 [bytes], the images one after the other; `offset` int [images + 1], where
        each begins and the last ends; `label` int [images]; `classes` str [classes].

        Raises:
            InputError: It is neither, or its parts do not fit together, or a class has no image.
        """
        try:
            if not source.exists():
                raise InputError(f"cannot read {source}: there is no such file or folder")
            images, labels, classes = _read_folder(source) if source.is_dir() else _read_packed(source)
        except OSError as error:
            raise InputError(f"cannot read {error.filename or source} ({error.strerror})") from None
        return cls(str(source), images, labels, classes).require_every_class()

    def require_every_class(self) -> Self:
        """Return the images themselves.

        Raises:
            InputError: A class has no image.
        """
        absent = sorted(set(range(len(self.classes))) - set(self.labels))
        if absent:
            raise InputError(f"{self.name} has no image of class {self.classes[absent[0]]!r}")
        return self

    def with_classes(self, classes: tuple[str, ...]) -> Self:
        """Return the same images with labels that index another list of classes, in which all their names must be.

        Raises:
            InputError: A class is not in that list, or twice.
        """
        for name in self.classes:
            if classes.count(name) != 1:
                known = "knows twice" if name in classes else "does not know"
                raise InputError(f"{self.name} has the class {name!r}, which the model {known}")
        position = [classes.index(name) for name in self.classes]
        return replace(self, labels=[position[label] for label in self.labels], classes=classes)

    def place(self, index: int) -> int:
        """Return where in its source an image is."""
        return index if self.places is None else self.places[index]

    def where(self, index: int) -> str:
        """Say which image this is: its file, or its place."""
        image = self.images[index]
        return str(image) if isinstance(image, Path) else f"{self.name}, image {self.place(index)}"


def _read_folder(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """List images, labels and classes."""
    class_folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    images: list[Path] = []
    labels: list[int] = []
    for label, class_folder in enumerate(class_folders):
        found = sorted(Path(path) for path in find_images(class_folder, _fail))
        images += found
        labels += [label] * len(found)
    return images, labels, tuple(path.name for path in class_folders)


def _fail(error: OSError) -> None:
    raise error


def _read_packed(path: Path) -> tuple[list[bytes], list[int], tuple[str, ...]]:
    """Return images, labels and classes."""
    try:
        # np.load takes other files, too, and advises to trust what it does not know.
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            data, offset, label, classes = (arrays[name] for name in ("jpeg", "offset", "label", "classes"))
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and numpy raise a dozen kinds over damaged files
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path} as packed images ({reason})") from None
    if not _fit(data, offset, label, classes):
        raise InputError(f"the offsets or labels in {path} do not fit its images or classes")
    content = data.tobytes()
    images = [content[start:end] for start, end in pairwise(offset.tolist())]
    return images, label.tolist(), tuple(classes.tolist())


def _fit(data: NDArray[Any], offset: NDArray[Any], label: NDArray[Any], classes: NDArray[Any]) -> bool:
    """Tell whether the arrays of a packed file have the kinds and sizes that they must have."""
    kinds = (data.dtype.kind, offset.dtype.kind, label.dtype.kind, classes.dtype.kind)
    if any(kind not in due for kind, due in zip(kinds, ("u", "iu", "iu", "U"), strict=True)) or data.itemsize != 1:
        return False
    if {data.ndim, offset.ndim, label.ndim, classes.ndim} != {1} or not 0 < len(label) == len(offset) - 1:
        return False
    ordered = offset[0] == 0 and offset[-1] == len(data) and (np.diff(offset.astype(np.int64)) >= 0).all()
    return bool(ordered and label.min() >= 0 and label.max() < len(classes))
