"""What became of each request of a Locust process, and of its workers: the rows of a trace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from loadtest.trace import OUTCOME, ROW, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.trace import Trace

# Processes have steady clocks of their own; the wall clock's reading at one instant makes them comparable. It is read
# once, so that its jumps do not become latencies.
_WALL_CLOCK = time.time() - time.perf_counter()


class Ledger:
    """Rows in the order in which requests ended; instants are seconds since the epoch."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, int, int]] = []
        self._received: list[bytes] = []
        self._taken = 0
        self._seen = (0, 0)

    def __len__(self) -> int:
        return len(self._rows) + sum(len(data) for data in self._received) // ROW.itemsize

    def add(self, due: float, sent: float, done: float, kind: int, outcome: str) -> None:
        """Note one request; instants are those of `time.perf_counter`, `sent` and `done` NaN for one never sent.

        What stands for its message in the trace is the number of its kind: all that a process without the messages,
        the master of those that send, can make something of.
        """
        clock = _WALL_CLOCK
        self._rows.append((due + clock, sent + clock, done + clock, kind, OUTCOME[outcome]))

    def take(self) -> bytes:
        """Rows that were added since the last call, for another process."""
        rows, self._taken = self._rows[self._taken :], len(self._rows)
        return np.array(rows, ROW).tobytes()

    def receive(self, data: bytes) -> None:
        """Add what another process took."""
        self._received.append(data)

    def latest(self) -> Trace:
        """The requests that this process has heard of since the last call."""
        own, received = self._seen
        self._seen = (len(self._rows), len(self._received))
        return _trace(self._rows[own:], self._received[received:])

    def trace(self) -> Trace:
        """All requests."""
        return _trace(self._rows, self._received)


def _trace(own: Sequence[tuple[float, float, float, int, int]], received: Sequence[bytes]) -> Trace:
    """Rows as a trace; instants are seconds since the first request was due."""
    rows = np.concatenate([np.array(own, ROW), np.frombuffer(b"".join(received), ROW)])
    start = rows["due"].min(initial=np.inf)
    for column in ("due", "sent", "done"):
        rows[column] -= start
    return read_rows(rows)
