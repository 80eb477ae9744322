"""Where images come from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from client import InvalidImage
from client.images import file_name, read_image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("image", [b"abc", bytearray(b"abc"), memoryview(b"abc"), io.BytesIO(b"abc")])
def test_bytes_and_file_objects_have_no_name(image: Any) -> None:
    """What is not a file is read as it is and is called nothing."""
    assert read_image(image) == b"abc"
    assert file_name(image) is None


def test_paths_and_open_files_are_named_by_their_path(tmp_path: Path) -> None:
    """A file has the name under which the caller knows it."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")

    with path.open("rb") as file:
        assert (file_name(file), read_image(file)) == (str(path), b"abc")
    assert (file_name(path), read_image(path)) == (str(path), b"abc")
    assert (file_name(str(path)), read_image(str(path))) == (str(path), b"abc")


@pytest.mark.parametrize(("name", "reason"), [("absent.jpg", "No such file"), ("", "Is a directory")])
def test_file_that_cannot_be_read_is_an_invalid_image(tmp_path: Path, name: str, reason: str) -> None:
    """The error says why the file cannot be read."""
    with pytest.raises(InvalidImage, match=reason):
        read_image(tmp_path / name)


def test_path_with_a_null_character_is_an_invalid_image() -> None:
    """A path that no file can have is a bad image like any other."""
    with pytest.raises(InvalidImage, match="null"):
        read_image("a\0b.jpg")


@pytest.mark.parametrize("image", [7, None, io.StringIO("abc")])
def test_anything_else_is_a_type_error(image: Any) -> None:
    """A programming error is not taken for a bad image."""
    with pytest.raises(TypeError, match="binary"):
        read_image(image)
