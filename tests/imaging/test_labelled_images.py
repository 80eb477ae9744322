"""Labelled images from a folder and from a packed file, and sources that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imaging.errors import InputError
from imaging.labelled_images import LabelledImages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

CLASSES = ("cat", "dog")
IMAGES = [b"first", b"", b"third"]  # what they are is nobody's business here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two class folders, one of them with a folder in it, and things that are no images or hidden."""
    others = ("cat/notes.txt", ".hidden/1.png", "1.png", "dog/._1.png", "cat/.hidden/2.png", "dog/folder.png/notes.txt")
    for name in ("dog/2.JPG", "dog/1.png", "cat/in/1.webp", *others):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A packed file of three images."""
    arrays = {
        "jpeg": np.frombuffer(b"".join(IMAGES), np.uint8),
        "offset": np.cumsum([0, *map(len, IMAGES)]),
        "label": np.array([0, 1, 1], np.uint8),
        "classes": np.array(CLASSES),
    }
    np.savez(tmp_path / "data.npz", **arrays)  # type: ignore[arg-type]  # numpy's own parameter has another type
    return tmp_path / "data.npz"


def test_folder(folder: Path) -> None:
    """A folder's folders are the classes, in alphabetical order, with all the images below them."""
    images = LabelledImages.read(folder)

    assert images.classes == CLASSES
    assert images.images == [folder / "cat/in/1.webp", folder / "dog/1.png", folder / "dog/2.JPG"]
    assert images.labels == [0, 1, 1]
    assert images.where(1) == str(folder / "dog/1.png")


def test_packed_file(packed: Path) -> None:
    """A packed file gives back its images, labels and classes."""
    images = LabelledImages.read(packed)

    assert (images.classes, images.images, images.labels) == (CLASSES, IMAGES, [0, 1, 1])
    assert images.where(2) == f"{packed}, image 2"


def test_class_without_images(folder: Path) -> None:
    """A class without images is named."""
    (folder / "emu").mkdir()

    with pytest.raises(InputError, match="has no image of class 'emu'"):
        LabelledImages.read(folder)


def test_no_classes(tmp_path: Path) -> None:
    """A folder without class folders is refused."""
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "1.png").touch()

    with pytest.raises(InputError, match="has no classes"):
        LabelledImages.read(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    """Images of a single class are enough to ask a model about."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").touch()

    images = LabelledImages.read(tmp_path)
    assert (images.labels, images.classes) == ([0], ("cat",))


def drop(name: str) -> Callable[[Arrays], object]:
    """Leave an array out."""
    return lambda arrays: arrays.pop(name)


def put(name: str, change: Callable[[NDArray[Any]], Any]) -> Callable[[Arrays], None]:
    """Put something else in the place of an array."""
    return lambda arrays: arrays.update({name: np.asarray(change(arrays[name]))})


def no_images(arrays: Arrays) -> None:
    """Leave all images out."""
    arrays.update(jpeg=arrays["jpeg"][:0], offset=arrays["offset"][:1], label=arrays["label"][:0])


@pytest.mark.parametrize(
    "damage",
    [
        drop("label"),
        no_images,
        put("jpeg", lambda data: data.astype(np.float32)),
        put("jpeg", lambda data: data[:, None]),
        put("offset", lambda offset: offset + 1),
        put("offset", lambda offset: offset[[0, 2, 1, 3]] - [0, 0, 1, 0]),
        put("offset", lambda offset: offset / 2),
        put("label", lambda label: label + 1),
        put("label", lambda label: label.astype(np.int64) - 1),
        put("label", lambda label: label[:-1]),
        put("label", lambda label: label[:0]),
        put("label", lambda label: label[:, None]),
        put("label", lambda label: label / 2),
        put("classes", lambda _: "cat"),
        put("classes", lambda _: [1, 2]),
    ],
)
def test_broken_packed_file(packed: Path, damage: Callable[[Arrays], object]) -> None:
    """A packed file whose parts do not fit together is refused with its name."""
    with np.load(packed) as stored:
        arrays = dict(stored)
    damage(arrays)
    np.savez(packed, **arrays)

    with pytest.raises(InputError, match=r"data\.npz") as raised:
        LabelledImages.read(packed)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_not_a_packed_file(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused with its name, and nobody is told to trust it."""
    (tmp_path / "data.npz").write_bytes(content)

    with pytest.raises(InputError, match=r"cannot read .*data\.npz as packed images \(File is not a zip file\)"):
        LabelledImages.read(tmp_path / "data.npz")


def test_damaged_packed_file(packed: Path) -> None:
    """Wherever a compressed file is cut or changed, it is refused, or read as what it was."""
    with np.load(packed) as stored:
        np.savez_compressed(packed, **stored)
    content = packed.read_bytes()

    for place in range(0, len(content), 7):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]):
            packed.write_bytes(damaged)
            try:
                images = LabelledImages.read(packed)
            except InputError as error:
                assert packed.name in str(error)  # noqa: PT017 - both ends are fine
            else:
                assert images.images == IMAGES


def test_absent_source(tmp_path: Path) -> None:
    """A source that does not exist is named."""
    with pytest.raises(InputError, match="absent"):
        LabelledImages.read(tmp_path / "absent")


def test_name_that_no_system_takes(tmp_path: Path) -> None:
    """What the system refuses is refused in its words."""
    with pytest.raises(InputError, match="File name too long"):
        LabelledImages.read(tmp_path / ("x" * 300))


def test_other_classes() -> None:
    """Labels follow their names into another list of classes, where each name must be once."""
    images = LabelledImages("some", [b"1", b"2", b"3"], [0, 1, 1], ("dog", "cat"))

    assert images.with_classes(("cat", "cow", "dog")).labels == [2, 0, 0]
    with pytest.raises(InputError, match="'dog', which the model does not know"):
        images.with_classes(("cat", "cow"))
    with pytest.raises(InputError, match="'cat', which the model knows twice"):
        images.with_classes(("cat", "dog", "cat"))


def test_as_many_labels_as_images() -> None:
    """A label that is missing is an error."""
    with pytest.raises(InputError, match="2 images but 1 labels"):
        LabelledImages("some", [b"1", b"2"], [0], ("dog", "cat"))
