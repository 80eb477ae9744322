from __future__ import annotations

import re
from typing import TYPE_CHECKING

import grpc

from server import errors
from server.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _derived(error: type[ServingError], depth: int = 1) -> Iterator[tuple[int, type[ServingError]]]:
    for child in error.__subclasses__():
        if child.__module__ != errors.__name__:
            continue  # a test's own
        yield depth, child
        yield from _derived(child, depth + 1)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    """The picture at the head of the module shows every class in its place, with its code."""
    drawn = re.findall(r"^ {4}([│ ├└─]+)(\w+)(?: +([A-Z_]+)\b)?", errors.__doc__ or "", re.MULTILINE)
    tree = list(_derived(ServingError))
    assert [(len(branch) // 4, name) for branch, name, _ in drawn] == [(depth, error.__name__) for depth, error in tree]
    for (branch, name, code), (_, error) in zip(drawn, tree, strict=True):
        if code:
            assert error.code is grpc.StatusCode[code], (branch, name)


def test_an_error_below_another_has_its_code() -> None:
    """Whoever catches the one knows the code of the other."""
    for _, error in _derived(ServingError):
        [parent] = error.__bases__
        assert parent is ServingError or error.code is parent.code
