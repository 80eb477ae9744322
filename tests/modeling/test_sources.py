"""Labelled images from each kind of source, and sources that are broken."""

from __future__ import annotations

import io
import pickle
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from modeling.command import InputError
from modeling.download import sha256
from modeling.sources import read_cifar10, read_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


def test_folder(coloured_folder: Path) -> None:
    """A folder's folders are the classes, in alphabetical order."""
    images = read_images(coloured_folder)

    assert images.classes == ("blue", "green", "red")
    assert list(images.labels) == [0] * 12 + [1] * 12 + [2] * 12
    assert images.images[0] == coloured_folder / "blue" / "0.png"


def test_empty_class_folder(coloured_folder: Path, tmp_path: Path) -> None:
    """A class without images is named."""
    for name in ("blue", "green"):
        (tmp_path / name).symlink_to(coloured_folder / name)
    (tmp_path / "yellow").mkdir()

    with pytest.raises(InputError, match="has no image of class 'yellow'"):
        read_images(tmp_path)


def test_folder_without_classes(tmp_path: Path) -> None:
    """A folder without class folders is refused."""
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "image.png").touch()

    with pytest.raises(InputError, match="fewer than two classes"):
        read_images(tmp_path)


def test_packed(packed_file: Path) -> None:
    """A packed file gives back its images, labels and classes."""
    images = read_images(packed_file)

    assert images.classes == ("blue", "green", "red")
    assert list(images.labels) == [0, 0, 1, 1, 2, 2]
    assert all(isinstance(image, bytes) and image.startswith(b"\x89PNG") for image in images.images)


def drop_labels(arrays: Arrays) -> None:
    """Leave the labels out."""
    del arrays["label"]


def shift_offsets(arrays: Arrays) -> None:
    """Let the last image end behind the data."""
    arrays["offset"] = arrays["offset"] + 1


def swap_offsets(arrays: Arrays) -> None:
    """Let an image end before it begins."""
    arrays["offset"][[1, 2]] = arrays["offset"][[2, 1]]


def unknown_label(arrays: Arrays) -> None:
    """Give an image a class that does not exist."""
    arrays["label"][0] = 3


def fewer_labels(arrays: Arrays) -> None:
    """Leave one label out."""
    arrays["label"] = arrays["label"][:-1]


def no_images(arrays: Arrays) -> None:
    """Leave all images out."""
    arrays.update(jpeg=arrays["jpeg"][:0], offset=arrays["offset"][:1], label=arrays["label"][:0])


def nested_labels(arrays: Arrays) -> None:
    """Give the labels a dimension too many."""
    arrays["label"] = arrays["label"][:, None]


@pytest.mark.parametrize(
    "damage", [drop_labels, shift_offsets, swap_offsets, unknown_label, fewer_labels, no_images, nested_labels]
)
def test_broken_packed_file(packed_file: Path, damage: Callable[[Arrays], None]) -> None:
    """A packed file whose parts do not fit together is refused with its name."""
    with np.load(packed_file) as stored:
        arrays = dict(stored)
    damage(arrays)
    np.savez(packed_file, **arrays)

    with pytest.raises(InputError, match=r"colours\.npz"):
        read_images(packed_file)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_not_a_packed_file(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused with its name."""
    (tmp_path / "data.npz").write_bytes(content)

    with pytest.raises(InputError, match=r"cannot read .*data\.npz as packed images"):
        read_images(tmp_path / "data.npz")


def test_absent_source(tmp_path: Path) -> None:
    """A source that does not exist is named."""
    with pytest.raises(InputError, match="absent"):
        read_images(tmp_path / "absent")


def cifar10_archive() -> tuple[bytes, NDArray[np.uint8]]:
    """Make an archive in the form of CIFAR-10's, of 2 images for each batch; also give its pixels [12, 3072]."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    members: dict[str, dict[bytes, Any]] = {
        name: {b"data": pixels[2 * i : 2 * i + 2], b"labels": [0, 1]} for i, name in enumerate(names)
    }
    members["batches.meta"] = {b"label_names": [b"airplane", b"automobile"]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            data = pickle.dumps(content)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue(), pixels


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10's archive gives its training and test images without loss."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    content, pixels = cifar10_archive()
    (tmp_path / "coordserve").mkdir()
    (tmp_path / "coordserve" / "cifar.tar.gz").write_bytes(content)

    training, test = read_cifar10("http://127.0.0.1:9/cifar.tar.gz", sha256(content))

    assert training.classes == test.classes == ("airplane", "automobile")
    assert (list(training.labels), list(test.labels)) == ([0, 1] * 5, [0, 1])
    crops, _ = test.decode(32, 1.0)
    expected = pixels[10:].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(crops.numpy(), expected)


def test_cifar10_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the error says where to put the archive."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(InputError, match=f"put it at {tmp_path}/coordserve/cifar.tar.gz, or train on your own"):
        read_cifar10("http://127.0.0.1:9/cifar.tar.gz")
