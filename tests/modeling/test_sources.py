"""Data sets from each kind of source."""

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
    from pathlib import Path

    from numpy.typing import NDArray


def test_images_are_read_to_train_on(coloured_folder: Path, packed_file: Path) -> None:
    """A folder and a packed file both give what can be decoded and split."""
    folder, packed = read_images(coloured_folder), read_images(packed_file)

    assert folder.classes == packed.classes == ("blue", "green", "red")
    assert folder.decode(8, 1.0)[1].tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert packed.decode(8, 1.0)[1].tolist() == [0, 0, 1, 1, 2, 2]


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

    with pytest.raises(InputError, match=f"put it at {tmp_path}/coordserve/cifar.tar.gz, or give images of your own"):
        read_cifar10("http://127.0.0.1:9/cifar.tar.gz")
