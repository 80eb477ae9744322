"""Text for terminals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.text import printable


@given(st.text())
def test_result_can_be_shown(text: str) -> None:
    """Nothing is left that a terminal obeys or that cannot be encoded."""
    shown = printable(text)

    assert shown.isprintable()
    assert shown.encode().decode() == shown


@given(st.text(st.characters(categories=["L", "N", "P"], include_characters=" ")))
def test_ordinary_text_stays(text: str) -> None:
    """Letters of any script are not escaped."""
    assert printable(text) == text


def test_control_characters_become_visible() -> None:
    """A label cannot clear the screen."""
    assert printable("a\x1b[2J\nb\udcff") == "a\\x1b[2J\\nb\\udcff"
