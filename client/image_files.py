"""Which images the arguments of a command line mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imaging.labelled_images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STANDARD_INPUT = "-"


def find_images(arguments: Iterable[str]) -> Iterator[str]:
    """Yields the path of each image, in the order of the arguments.

    A directory stands for all files below it that have an image's suffix, sorted; a directory that cannot be searched
    stands for itself, and so does everything else. Links to directories are not followed.
    """
    for argument in arguments:
        if os.path.isdir(argument):  # noqa: PTH112 - paths stay exactly as they were given
            yield from _search(argument)
        else:
            yield argument


def _search(directory: str) -> Iterator[str]:
    unreadable: list[str] = []
    for folder, subfolders, files in os.walk(directory, onerror=lambda error: unreadable.append(error.filename)):
        subfolders.sort()
        for name in sorted(files):
            if name.lower().endswith(IMAGE_SUFFIXES):
                yield os.path.join(folder, name)  # noqa: PTH118 - as above
    yield from unreadable
