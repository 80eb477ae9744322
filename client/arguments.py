"""Defaults and checks of the arguments that both clients and the command line take."""

from __future__ import annotations

from typing import Literal, TypeAlias

DEFAULT_URL = "127.0.0.1:8001"
DEFAULT_TOP_K = 5
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_CONCURRENCY = 16

OnError: TypeAlias = Literal["return", "raise"]


def check_positive(**arguments: float) -> None:
    """Raises ValueError, naming the argument, unless each of `arguments` is above zero."""
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value}")


def chosen_timeout(timeout_seconds: float | None, default_seconds: float) -> float:
    """Returns the call's own timeout where it has one.

    Raises:
        ValueError: It is not above zero.
    """
    if timeout_seconds is None:
        return default_seconds
    check_positive(timeout_seconds=timeout_seconds)
    return timeout_seconds
