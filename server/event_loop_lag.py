"""How late the event loop is: what everybody waits in addition who talks to this server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from server.histogram import Histogram
from server.metrics.family import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERVAL_SECONDS = 0.1
_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)


class EventLoopLag:
    """Asks the running loop to be woken ten times a second and notes how late that happened.

    Instants that a stall left out are noted when it is over, each with its own lateness: whoever came then has waited,
    too.
    """

    def __init__(self) -> None:
        self.last_seconds = 0.0
        self._worst_seconds = 0.0
        self._seconds = Histogram(_EDGES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        due = time.monotonic()
        while True:
            due += _INTERVAL_SECONDS
            await asyncio.sleep(due - time.monotonic())
            self.last_seconds = max(0.0, time.monotonic() - due)
            self._worst_seconds = max(self._worst_seconds, self.last_seconds)
            self._seconds.observe(self.last_seconds)

    def take_worst(self) -> float:
        """The largest lateness in seconds since this was last asked."""
        worst, self._worst_seconds = self._worst_seconds, 0.0
        return worst

    def families(self) -> Iterator[Family]:
        """The lateness so far."""
        family = Family("coordserve_event_loop_lag_seconds", "histogram", "How late the event loop ran what was due.")
        family.add_histogram("", self._seconds)
        yield family
