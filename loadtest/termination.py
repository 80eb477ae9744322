"""What asks a command to end: it ends as by an exception, which leaves nothing behind that it has started."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C; timeout(1), or the end of a container. Both come to all processes of a command."""


def exit_on_sigterm() -> None:
    """From now on SIGTERM raises SystemExit, with a shell's status for it, where nobody handles it otherwise."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # timeout(1) sends it twice, and the end is not to be broken off
    raise SystemExit(128 + number)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let `SIGNALS` come at the end of this and not before: what is started here is also ended by somebody.

    Masking them would not do, as any other thread would take them; and a server would inherit that.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone handles signals
        yield
        return
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _frame: came.append(number)) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came[:1]:
            signal.raise_signal(number)
