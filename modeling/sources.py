"""Where data sets come from: a folder of class folders, a packed `.npz` file, or CIFAR-10's home page."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from modeling.command import InputError
from modeling.dataset import DataSet
from modeling.download import cache_directory, fetch, sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

CIFAR10 = "cifar10"
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_CIFAR10_TRAINING = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
_CIFAR10_TEST = ("cifar-10-batches-py/test_batch",)
_CIFAR10_CLASSES = "cifar-10-batches-py/batches.meta"


def read_images(source: Path) -> DataSet:
    """Read a folder of class folders or a packed `.npz` file.

    Raises:
        InputError: It is neither, or a class has no image.
    """
    return DataSet.read(source)


def read_test_images(source: str) -> DataSet:
    """Read the test images of `cifar10`, or else what `read_images` reads.

    Raises:
        InputError: They cannot be had.
    """
    if source != CIFAR10:
        return read_images(Path(source))
    (test,) = _read_cifar10(CIFAR10_URL, CIFAR10_SHA256, _CIFAR10_TEST)
    return test


def read_cifar10(url: str = CIFAR10_URL, digest: str = CIFAR10_SHA256) -> tuple[DataSet, DataSet]:
    """Download CIFAR-10 (Krizhevsky, 2009) unless it is there, and read its training and test images.

    Raises:
        InputError: It could not be downloaded.
    """
    training, test = _read_cifar10(url, digest, _CIFAR10_TRAINING, _CIFAR10_TEST)
    return training, test


def _read_cifar10(url: str, digest: str, *parts: tuple[str, ...]) -> list[DataSet]:
    path = cache_directory() / url.rpartition("/")[2]
    remedy = f"download it elsewhere and put it at {path}, or give images of your own with --data"
    with tarfile.open(fetch([url], path, sha256, digest, remedy)) as archive:
        classes = tuple(name.decode() for name in _unpickle(archive, _CIFAR10_CLASSES)[b"label_names"])
        return [_cifar10_part(archive, part, classes) for part in parts]


def _cifar10_part(archive: tarfile.TarFile, members: tuple[str, ...], classes: tuple[str, ...]) -> DataSet:
    batches = [_unpickle(archive, member) for member in members]
    pixels = np.concatenate([batch[b"data"] for batch in batches])  # uint8 [N, 3072], planes of 32 rows
    labels = [label for batch in batches for label in batch[b"labels"]]
    images = [_png(plane.reshape(3, 32, 32).transpose(1, 2, 0)) for plane in pixels]
    return DataSet("CIFAR-10", images, labels, classes).require_every_class()


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
