"""Triton's classification extension: an output's classes as text, `<value>:<index>[:<label>]`.

Source: the Open Inference Protocol's classification extension as Triton implements it. The value has six decimals; the
label is missing when the labels file has no line for the index, and may itself contain colons.
"""

from __future__ import annotations

import re

from tritonclient.utils import deserialize_bytes_tensor

from client.errors import ServerError
from client.results import Class

_CLASS = re.compile(r"(?P<value>[^:]+):(?P<index>\d+)(:(?P<label>.*))?", re.ASCII | re.DOTALL)


def read_class(text: str) -> Class:
    """Reads one class.

    Raises:
        ServerError: `text` is no such string.
    """
    parts = _CLASS.fullmatch(text)
    try:
        if parts:
            return Class(int(parts["index"]), parts["label"] or "", float(parts["value"]))
    except ValueError:
        pass
    raise ServerError(f"the server sent {text!r} where 'probability:index:label' was due")


def read_class_rows(raw: bytes, rows: int) -> list[tuple[Class, ...]]:
    """Reads the classes of several images.

    Args:
        raw: A BYTES tensor of shape [rows, k] as it is on the wire: for each element four bytes of length, little
            endian, and that many bytes of UTF-8.
        rows: Number of images.

    Raises:
        ServerError: The bytes are no such tensor, or an image has no class.
    """
    try:
        elements = deserialize_bytes_tensor(raw)
    except Exception as error:
        raise ServerError("the server's classes are no tensor of strings") from error
    per_row, left_over = divmod(len(elements), rows)
    if per_row == 0 or left_over:
        raise ServerError(f"the server sent {len(elements)} classes for {rows} images")
    classes = [read_class(bytes(element).decode("utf-8", errors="replace")) for element in elements]
    return [tuple(classes[start : start + per_row]) for start in range(0, len(classes), per_row)]
