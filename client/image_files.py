"""Which images the arguments of a command line mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imaging import image_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STANDARD_INPUT = "-"


def find_images(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Finds the path of each image, in the order of the arguments.

    A directory stands for the images below it, as `imaging.image_files` finds them; a directory that cannot be searched
    stands for itself, and so does everything else.

    Returns:
        The images, and the directories that have none.
    """
    found: list[str] = []
    empty: list[str] = []
    for argument in arguments:
        if os.path.isdir(argument):  # noqa: PTH112 - paths stay exactly as they were given
            images = list(_search(argument))
            found += images
            empty += [] if images else [argument]
        else:
            found.append(argument)
    return found, empty


def _search(directory: str) -> Iterator[str]:
    unreadable: list[str] = []
    yield from image_files.find_images(directory, lambda error: unreadable.append(error.filename))
    yield from unreadable
