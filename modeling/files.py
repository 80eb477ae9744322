"""Files that are never seen half written."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; put it in place at the end.

    After an error remove it, and those folders above it that were not there before.
    """
    absent = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException:
        _remove(temporary, absent)
        raise


def _remove(temporary: Path, folders: Sequence[Path]) -> None:
    """Remove a file, and folders that are empty then; what cannot be removed hides no error that came before."""
    with suppress(OSError):
        temporary.unlink()
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def place(files: Sequence[tuple[Path, bytes]]) -> None:
    """Put files in place, in their order, once all are written; leave equal ones alone, so that no server reloads them.

    Raises:
        OSError: One of them cannot be written; then none is in place.
    """
    with ExitStack() as placing:
        for path, content in reversed(files):  # what enters a stack last leaves it first
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            if not path.is_file() or path.read_bytes() != content:
                placing.enter_context(replacing(path)).write_bytes(content)
