"""A labels file beside the classes that the model really has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def oddities(labels: Sequence[str], row_shape: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Lines of the file, counted from 1, and what is odd there; `row_shape` is the output's for one row."""
    classes = math.prod(row_shape)
    if len(labels) != classes:
        lines = min(len(labels), classes) + (len(labels) > classes)
        yield max(1, lines), f"{len(labels)} labels for an output of {classes} classes"
    for number, label in enumerate(labels, 1):
        if not label.strip():
            yield number, f"class {number - 1} has an empty label"
