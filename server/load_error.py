"""A load that failed: what its caller, the index and the log are told."""

from __future__ import annotations

_MOST_CHARACTERS = 1000  # of a text in the log


class LoadError(Exception):
    """A model did not load; whatever served before goes on serving. The message is for the operator."""


def system_reason(error: Exception) -> str:
    """What the system says, without the path that it says it of."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def printable(text: object) -> str:
    """`text` for the log: what a request brings must not look like lines of ours, nor fill it."""
    characters = str(text)[:_MOST_CHARACTERS]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in characters)
