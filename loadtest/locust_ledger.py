"""What became of each request of a Locust process, and of its workers: the rows of a trace."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import numpy as np

from loadtest.trace import OUTCOME, ROW, read_rows

if TYPE_CHECKING:
    from loadtest.trace import Trace

# Processes have steady clocks of their own; the wall clock's reading at one instant makes them comparable. It is read
# once, so that its jumps do not become latencies.
_WALL_CLOCK = time.time() - time.perf_counter()
_ROW = struct.Struct("=dddiB")  # as `ROW` is


class Ledger:
    """Rows in the order in which they came; instants are seconds since the epoch.

    They are kept as bytes, since a test that goes on for days has very many.
    """

    def __init__(self) -> None:
        self._rows = bytearray()
        self._seen = 0

    def __len__(self) -> int:
        return len(self._rows) // ROW.itemsize

    def add(self, due: float, sent: float, done: float, kind: int, outcome: str) -> None:
        """Note one request; instants are those of `time.perf_counter`, `sent` and `done` NaN for one never sent.

        What stands for its message in the trace is the number of its kind: all that a process without the messages,
        the master of those that send, can make something of.
        """
        clock = _WALL_CLOCK
        self._rows += _ROW.pack(due + clock, sent + clock, done + clock, kind, OUTCOME[outcome])

    def take(self) -> bytes:
        """Give all rows away, for another process."""
        rows, self._rows = bytes(self._rows), bytearray()
        return rows

    def receive(self, data: bytes) -> None:
        """Add what another process gave away."""
        self._rows += data

    def latest(self) -> Trace:
        """The requests that this process has heard of since the last call; not for one that gives rows away."""
        seen, self._seen = self._seen, len(self._rows)
        return _trace(self._rows[seen:])

    def trace(self) -> Trace:
        """All requests."""
        return _trace(self._rows)


def _trace(data: bytearray) -> Trace:
    """Rows as a trace; instants are seconds since the first request was due."""
    trace = read_rows(np.frombuffer(data, ROW))
    start = trace.due.min(initial=np.inf)
    for instants in (trace.due, trace.sent, trace.done):
        np.subtract(instants, start, out=instants)  # there may be no room for another copy
    return trace
