"""Files from the network: complete, of the expected content, or not there at all."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from modeling.command import InputError
from modeling.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30


def cache_directory() -> Path:
    """Return the folder for downloaded files, as the XDG base directory specification places it."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "coordserve"


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def git_blob_id(content: bytes) -> str:
    """Return the name under which Git stores a file's content: SHA-1 over a header and the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def fetch(urls: Sequence[str], path: Path, digest: Callable[[bytes], str], expected: str, remedy: str) -> Path:
    """Download a file unless it is already there; what is there is checked as well.

    Args:
        urls: Where it is; the next is tried where one fails.
        path: Where it goes; appears only when complete and correct.
        digest: Computes what `expected` is compared with.
        expected: The digest of the right content.
        remedy: What the user can do if all fail.

    Returns:
        The path.

    Raises:
        InputError: No network, an incomplete answer, or other content than expected.
    """
    problems: list[str] = []
    if path.is_file():
        if (found := digest(path.read_bytes())) == expected:
            return path
        problems.append(f"{path} is not the file that was expected (its digest is {found})")
    for url in urls:
        try:
            content = _download(url)
        except (OSError, HTTPException, ValueError) as error:
            problems.append(f"cannot download {url} ({error})")
            continue
        if digest(content) == expected:
            with replacing(path) as temporary:
                temporary.write_bytes(content)
            return path
        problems.append(f"{url} is not the file that was expected (its digest is {digest(content)})")
    raise InputError(f"{'; '.join(problems)}: {remedy}")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - a constant or the user's own
        size = int(answer.headers.get("Content-Length", 0))
        content = bytearray()
        with tqdm(total=size or None, unit="B", unit_scale=True, desc=Path(url).name, disable=None) as bar:
            while chunk := answer.read(_CHUNK_BYTES):
                content += chunk
                bar.update(len(chunk))
    if size and len(content) != size:
        raise OSError(f"the connection ended after {len(content)} of {size} bytes")
    return bytes(content)
