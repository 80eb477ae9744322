"""Data sets are decoded as served, and split without mixing anything up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imaging import decode_crop
from modeling.command import InputError
from modeling.dataset import DataSet
from modeling.sources import read_images


def test_decoded_as_served(coloured_folder: Path) -> None:
    """Pixels are the crops that a server makes of the same bytes, in the order of the labels."""
    images = read_images(coloured_folder)
    pixels, labels = images.decode(10, 0.5)

    assert (pixels.shape, pixels.dtype) == ((36, 10, 10, 3), torch.uint8)
    assert labels.tolist() == list(images.labels)
    last = (coloured_folder / "red" / "9.png").read_bytes()
    np.testing.assert_array_equal(pixels[-1].numpy(), decode_crop(last, 10, 10, 0.5))


def test_unreadable_image(tmp_path: Path, coloured_folder: Path) -> None:
    """An image that cannot be read is named."""
    good, bad = coloured_folder / "blue" / "0.png", tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])

    with pytest.raises(InputError, match=r"bad\.png: "):
        DataSet("two", [good, bad], [0, 1], ("a", "b")).decode(8, 1.0)
    with pytest.raises(InputError, match="two, image 1: "):
        DataSet("two", [good, b"text"], [0, 1], ("a", "b")).decode(8, 1.0)


def test_unreadable_image_of_a_part() -> None:
    """An image that cannot be read is named by its place in the whole file, also where a part of a part is read."""
    images = DataSet("five", [b"0", b"1", b"2", b"3", b"4"], [0, 0, 0, 1, 1], ("a", "b"))

    with pytest.raises(InputError, match="five, image 3: "):
        images.select([1, 3, 4]).select([1, 2]).decode(8, 1.0)


def test_hold_out(coloured_folder: Path) -> None:
    """Every image is either trained on or held out, a share of each class, and the seed decides which."""
    images = read_images(coloured_folder)
    training, test = images.hold_out(0.25, seed=3)

    assert sorted([*training.images, *test.images]) == sorted(images.images)
    assert np.bincount(test.labels).tolist() == [3, 3, 3]
    for part in (training, test):
        assert [path.parent.name for path in part.images if not isinstance(path, bytes)] == [
            images.classes[label] for label in part.labels
        ]
    assert images.hold_out(0.25, seed=3) == (training, test)
    assert images.hold_out(0.25, seed=4) != (training, test)


def test_held_out_whatever_else_there_is(coloured_folder: Path, packed_file: Path, tmp_path: Path) -> None:
    """Which images of a class are held out is the same beside other classes, and wherever the images lie."""
    for folder in coloured_folder.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "blue").rename(tmp_path / ".blue")
    whole, part = (read_images(folder).hold_out(0.25)[1].images for folder in (coloured_folder, tmp_path))
    assert [f"{path.parent.name}/{path.name}" for path in whole if isinstance(path, Path)][3:] == [
        f"{path.parent.name}/{path.name}" for path in part if isinstance(path, Path)
    ]

    packed = read_images(packed_file)
    later = packed.select([2, 3, 4, 5, 0, 1])
    assert set(packed.hold_out(0.5)[1].images) == set(later.hold_out(0.5)[1].images)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 0.99])
def test_nothing_left(coloured_folder: Path, share: float) -> None:
    """A share that leaves no image on one of the sides is refused."""
    with pytest.raises(InputError, match="hold out"):
        read_images(coloured_folder).hold_out(share, seed=0)
