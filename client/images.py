"""Where an image comes from: bytes, a path or a file object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

from client.errors import InvalidImage

Image: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
"""An encoded image: its bytes, the path of its file, or a binary file object that is read to its end."""


def file_name(image: Image) -> str | None:
    """Returns what to call `image` in results: its path, a file object's name, or None."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return None
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    name = getattr(image, "name", None)
    return name if isinstance(name, str) else None


def read_image(image: Image) -> bytes:
    """Returns the encoded bytes of `image`.

    Raises:
        InvalidImage: The file cannot be read.
        TypeError: `image` is none of the things that an image can be.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    try:
        encoded = Path(image).read_bytes() if isinstance(image, (str, os.PathLike)) else image.read()
    except OSError as error:
        raise InvalidImage(f"cannot read the image: {error.strerror or error}") from error
    except ValueError as error:  # a path with a null character, a file object that is closed
        raise InvalidImage(f"cannot read the image: {error}") from error
    except AttributeError as error:
        raise TypeError(f"an image is bytes, a path or a binary file object, not {type(image).__name__}") from error
    if not isinstance(encoded, bytes):
        raise TypeError("the image's file object gives text: open it in binary mode")
    return encoded
