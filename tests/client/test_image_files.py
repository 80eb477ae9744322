"""Finding images."""

from __future__ import annotations

from pathlib import Path

from client.image_files import find_images


def test_directory_stands_for_its_images_sorted(folder: Path) -> None:
    """Suffixes decide, in any case; a directory's own files come before those below; what is hidden is left out."""
    (folder / "._red.png").touch()
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "red.png").touch()
    found = [str(Path(path).relative_to(folder)) for path in find_images([str(folder)])[0]]

    assert found == ["green.JPG", "red.png", "a/blue.webp"]


def test_arguments_keep_their_order_and_files_need_no_suffix(folder: Path) -> None:
    """What is named is taken, whether it looks like an image, exists, or is standard input."""
    arguments = [str(folder / "notes.txt"), "-", "absent", str(folder / "a")]

    assert find_images(arguments) == ([*arguments[:3], str(folder / "a" / "blue.webp")], [])


def test_empty_directories_are_named(folder: Path, tmp_path: Path) -> None:
    """Who names a directory expects images in it."""
    empty = tmp_path / "empty"
    empty.mkdir()

    assert find_images([str(empty), str(folder / "a")]) == ([str(folder / "a" / "blue.webp")], [str(empty)])


def test_links_to_directories_are_not_followed(folder: Path) -> None:
    """A link to its own parent does not make the search endless."""
    (folder / "a" / "loop").symlink_to(folder)

    assert len(find_images([str(folder)])[0]) == 3
