"""Ctrl-C that waits for a good moment."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruption() -> Iterator[Event]:
    """Give an event that the first SIGINT or SIGTERM sets in place of its usual effect; a second one has that."""
    requested = Event()
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def request(_number: int, _frame: FrameType | None) -> None:
        requested.set()
        restore()

    for number in _SIGNALS:
        signal.signal(number, request)
    try:
        yield requested
    finally:
        restore()
