"""Where labelled images come from: a folder of class folders, a packed `.npz` file, or CIFAR-10's home page."""

from __future__ import annotations

import io
import pickle
import tarfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from modeling.command import InputError
from modeling.dataset import LabelledImages
from modeling.download import cache_directory, fetch, sha256

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CIFAR10 = "cifar10"
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_CIFAR10_TRAINING = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
_CIFAR10_TEST = ("cifar-10-batches-py/test_batch",)
_CIFAR10_CLASSES = "cifar-10-batches-py/batches.meta"
_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


def read_images(source: Path) -> LabelledImages:
    """Read a folder of class folders or a packed `.npz` file.

    Raises:
        InputError: It is neither, or a class has no image.
    """
    images = read_folder(source) if source.is_dir() else read_packed(source)
    return images.require_every_class()


def read_folder(folder: Path) -> LabelledImages:
    """List the images in a folder's folders, which are named like the classes; hidden ones are left out.

    Raises:
        InputError: There are fewer than two classes.
    """
    class_folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    images: list[Path] = []
    labels: list[int] = []
    for label, class_folder in enumerate(class_folders):
        found = sorted(path for path in class_folder.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
        images += found
        labels += [label] * len(found)
    return LabelledImages(str(folder), images, labels, tuple(path.name for path in class_folders))


def read_packed(path: Path) -> LabelledImages:
    """Read an `.npz` file of encoded images.

    Its arrays: `jpeg` uint8 [bytes], the images one after the other; `offset` int [images + 1], where each begins and
    the last ends; `label` int [images]; `classes` str [classes].

    Raises:
        InputError: It is something else, or its parts do not fit together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            data, offset, label, classes = (arrays[name] for name in ("jpeg", "offset", "label", "classes"))
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError(f"cannot read {path} as packed images ({error})") from None
    fits = offset.ndim == label.ndim == 1 and len(offset) > 1 and offset[0] == 0 and offset[-1] == len(data)
    if not fits or (np.diff(offset.astype(np.int64)) < 0).any() or label.min() < 0 or label.max() >= len(classes):
        raise InputError(f"the offsets or labels in {path} do not fit its images or classes")
    content = data.tobytes()
    images = [content[start:end] for start, end in pairwise(offset.tolist())]
    return LabelledImages(str(path), images, label.tolist(), tuple(classes.tolist()))


def read_cifar10(url: str = CIFAR10_URL, digest: str = CIFAR10_SHA256) -> tuple[LabelledImages, LabelledImages]:
    """Download CIFAR-10 (Krizhevsky, 2009) unless it is there, and read its training and test images.

    Raises:
        InputError: It could not be downloaded.
    """
    path = cache_directory() / url.rpartition("/")[2]
    remedy = f"download it elsewhere and put it at {path}, or train on your own images with --data"
    with tarfile.open(fetch([url], path, sha256, digest, remedy)) as archive:
        classes = tuple(name.decode() for name in _unpickle(archive, _CIFAR10_CLASSES)[b"label_names"])
        return _cifar10_part(archive, _CIFAR10_TRAINING, classes), _cifar10_part(archive, _CIFAR10_TEST, classes)


def _cifar10_part(archive: tarfile.TarFile, members: tuple[str, ...], classes: tuple[str, ...]) -> LabelledImages:
    batches = [_unpickle(archive, member) for member in members]
    pixels = np.concatenate([batch[b"data"] for batch in batches])  # uint8 [N, 3072], planes of 32 rows
    labels = [label for batch in batches for label in batch[b"labels"]]
    images = [_png(plane.reshape(3, 32, 32).transpose(1, 2, 0)) for plane in pixels]
    return LabelledImages("CIFAR-10", images, labels, classes).require_every_class()


def _unpickle(archive: tarfile.TarFile, member: str) -> dict[bytes, Any]:
    file = archive.extractfile(member)
    if file is None:
        raise InputError(f"{archive.name!s} has no {member}")
    return pickle.load(file, encoding="bytes")  # type: ignore[no-any-return]  # noqa: S301 - its digest was checked


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode without loss, so that these images go the same way as all others."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
