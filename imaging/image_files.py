"""The files of a folder that are named like images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SUFFIXES = (".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp")


def find_images(folder: str | os.PathLike[str], on_error: Callable[[OSError], object]) -> Iterator[str]:
    """Yields the path of each image below a folder, sorted, a folder's own before those of the folders in it.

    Suffixes decide, in any case. What is hidden is left out, at any depth: systems keep files there that only look like
    images. Links to folders are not followed.

    Args:
        folder: Where to look; paths begin with it as it is.
        on_error: Gets the error of each folder that cannot be read.
    """
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 - paths stay exactly as they were given
