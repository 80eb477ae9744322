"""Defaults and checks of the arguments that both clients and the command line take."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

DEFAULT_URL = "127.0.0.1:8001"
DEFAULT_TOP_K = 5
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_CONCURRENCY = 16

MOST_COUNT = 2**31 - 1  # what every message's whole numbers hold
_LONGEST_SECONDS = 1e8  # three years; gRPC takes far longer ones for deadlines that have passed

OnError: TypeAlias = Literal["return", "raise"]


def check_positive(**arguments: float) -> None:
    """Raises ValueError, naming the argument, unless each of `arguments` is above zero."""
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value}")


def check_count(**arguments: int) -> None:
    """Raises ValueError, naming the argument, unless each of `arguments` is above zero and fits into a message."""
    check_positive(**arguments)
    for name, value in arguments.items():
        if value > MOST_COUNT:
            raise ValueError(f"{name} must be at most {MOST_COUNT}, not {value}")


def check_on_error(on_error: str) -> None:
    """Raises ValueError unless it is one of `OnError`."""
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error must be 'return' or 'raise', not {on_error!r}")


def chosen_timeout(timeout_seconds: float | None, default_seconds: float) -> float:
    """Returns the call's own timeout where it has one; one that outlives any call is cut.

    Raises:
        ValueError: It is not above zero.
    """
    if timeout_seconds is None:
        timeout_seconds = default_seconds
    check_positive(timeout_seconds=timeout_seconds)
    return min(timeout_seconds, _LONGEST_SECONDS)
