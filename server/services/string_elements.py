"""Tensors of BYTES: each element stands behind its length, 4 bytes, little-endian. Texts of errors are Triton's."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from server.errors import IncompleteElement, InvalidRequest
from server.services.typed_contents import TypedContents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.model_config import ModelConfig

_LENGTH = struct.Struct("<I")


def check_count(count: int, expected: int, name: str, config: ModelConfig) -> None:
    """Check that the input `name` has as many elements as its shape says.

    Raises:
        InvalidRequest: it has more or fewer.
    """
    where = f"inference input '{name}' for model '{config.name}'"
    if count > expected:
        raise InvalidRequest(f"unexpected number of string elements {expected + 1} for {where}, expecting {expected}")
    if count < expected:
        raise InvalidRequest(f"expected {expected} string elements for {where}, got {count}")


def split(content: bytes | memoryview | TypedContents, expected: int, name: str, config: ModelConfig) -> list[bytes]:
    """The elements of a tensor; no more than one beyond the `expected` ones, so that nobody pays for millions.

    Raises:
        InvalidRequest: it ends within an element, or within a length, or comes as a list of more or fewer.
    """
    if isinstance(content, TypedContents):
        check_count(content.count, expected, name, config)
        return content.elements()
    elements: list[bytes] = []
    position, end = 0, len(content)
    while position < end and len(elements) <= expected:
        if end - position < _LENGTH.size:
            raise InvalidRequest(
                f"incomplete string length indicator for inference input '{name}' for model '{config.name}', expecting"
                f" 4 bytes but only {end - position} bytes available. Please make sure the string length indicator is"
                " in one buffer."
            )
        (size,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size
        if size > end - position:
            raise IncompleteElement(
                f"incomplete string data for inference input '{name}', expecting string of length {size} but only"
                f" {end - position} bytes available"
            )
        elements.append(bytes(content[position : position + size]))
        position += size
    return elements


def join(elements: Iterable[bytes]) -> bytes:
    """The elements of a tensor as they go on the wire."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))
