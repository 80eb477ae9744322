"""The values that a classification gives."""

from __future__ import annotations

import dataclasses

import pytest

from client import Class, Classification, ImageFailure, InvalidImage
from client.results import require_classification

CAT = Class(281, "tabby", 0.75)


def test_best_is_the_first_class() -> None:
    """The most probable class stands first."""
    assert Classification("cat.jpg", "m", "1", (CAT, Class(1, "", 0.25))).best is CAT


def test_results_do_not_change() -> None:
    """A result can be shared and kept."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Classification(None, "m", "1", (CAT,)).model = "other"  # type: ignore[misc]  # what must not work


def test_failure_raises_its_own_error() -> None:
    """Who asked for a classification gets it or the reason."""
    error = InvalidImage("no image")
    classification = Classification(None, "m", "1", (CAT,))

    assert require_classification(classification) is classification
    with pytest.raises(InvalidImage) as raised:
        require_classification(ImageFailure("x", error))
    assert raised.value is error
