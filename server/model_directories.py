"""The directories of a model repository.

DIR/NAME/config.pbtxt
DIR/NAME/labels.txt
DIR/NAME/VERSION/model.pt      VERSION is a whole number without leading zeros; other names are passed over
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# Below a model's directory: each file and directory with its size in bytes, its time of change in ns, and its inode.
Contents = frozenset[tuple[str, int, int, int]]

_VERSION = re.compile(r"[1-9][0-9]*")


def list_all(repository: Path) -> list[str]:
    """The directories of a repository, but for hidden ones, by name; they need not be models.

    Raises:
        OSError: the repository cannot be read.
    """
    return sorted(path.name for path in repository.iterdir() if path.is_dir() and path.name[0] != ".")


def models(repository: Path, unreadable: Callable[[str, OSError], None]) -> list[str]:
    """The directories of a repository that hold a model each; others, such as lost+found, are passed over.

    `unreadable(name, error)` is told of those that cannot be looked into.

    Raises:
        OSError: the repository cannot be read.
    """
    names = []
    for name in list_all(repository):
        try:
            if _is_model(repository / name):
                names.append(name)
        except OSError as error:
            unreadable(name, error)
    return names


def versions(model: Path) -> list[int]:
    """The versions of a model that there are, in any order.

    Raises:
        OSError: its directory cannot be read.
    """
    return [int(path.name) for path in model.iterdir() if path.is_dir() and _VERSION.fullmatch(path.name)]


def contents(repository: Path, before: Mapping[str, Contents]) -> dict[str, Contents]:
    """What lies below each model's directory, to tell later whether it has changed.

    What cannot be looked into now is taken to be as it was `before`.

    Raises:
        OSError: the repository cannot be read.
    """
    closed: list[str] = []
    found = models(repository, lambda name, _: closed.append(name))
    seen = {name: frozenset(_entries(repository / name, "", frozenset())) for name in found}
    return seen | {name: before[name] for name in closed if name in before}


def _entries(directory: Path, prefix: str, above: frozenset[int]) -> Iterator[tuple[str, int, int, int]]:
    """Links are followed, but never in circles; hidden names and Python's caches are nobody's model."""
    try:
        paths = [path for path in directory.iterdir() if path.name[0] != "." and path.name != "__pycache__"]
    except OSError:
        return  # it has just gone, which the next look tells from what is there then
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        name = prefix + path.name
        if not path.is_dir():
            yield name, status.st_size, status.st_mtime_ns, status.st_ino
        elif status.st_ino not in above:
            yield name, 0, 0, status.st_ino  # its time tells only of entries, which are here themselves
            yield from _entries(path, name + "/", above | {status.st_ino})


def _is_model(directory: Path) -> bool:
    try:
        directory.name.encode()
    except UnicodeEncodeError:  # nobody could ask for it, and no metric could tell of it
        raise OSError(errno.EILSEQ, "its name is not UTF-8") from None
    return (directory / "config.pbtxt").exists() or bool(versions(directory))
