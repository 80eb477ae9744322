"""What happened to each request of a run: one row for each, whatever became of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CODES = tuple(code.name for code in sorted(grpc.StatusCode, key=lambda code: code.value[0]))
"""gRPC's status codes, each at its number."""

# Ends that gRPC has no code for.
DROPPED = "DROPPED"  # never sent: too many requests were in flight
WRONG_ANSWER = "WRONG_ANSWER"  # not what the server answered at rest
NOT_REFUSED = "NOT_REFUSED"  # bad input was answered as if it were good
REFUSED_OTHERWISE = "REFUSED_OTHERWISE"  # bad input was refused with another code than it should be

OUTCOMES = (*CODES, DROPPED, WRONG_ANSWER, NOT_REFUSED, REFUSED_OTHERWISE)
"""How a request can end; a trace holds the position in this tuple."""
OUTCOME = {name: number for number, name in enumerate(OUTCOMES)}

PENDING = 255
"""Stands for the outcome while there is none."""

ROW = np.dtype(
    [("due", np.float64), ("sent", np.float64), ("done", np.float64), ("message", np.int32), ("outcome", np.uint8)]
)
"""A row as the senders write it, see `Trace`."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The requests of a run in the order in which they were due, as columns of equal length [N].

    Attributes:
        due: float64, instants at which requests were to be sent, in seconds since the start of the run.
        sent: float64, instants at which they were; NaN for one that was dropped.
        done: float64, instants at which they ended; NaN for one that was dropped.
        message: int32, which of the workload's messages was sent.
        outcome: uint8, positions in `OUTCOMES`.
    """

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    message: NDArray[np.int32]
    outcome: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.due)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """[N], whether the request got a right answer."""
        ok: NDArray[np.bool_] = self.outcome == OUTCOME["OK"]
        return ok

    @property
    def response_seconds(self) -> NDArray[np.float64]:
        """[N], from due to done: what an independent caller waits; infinite without a right answer."""
        return np.where(self.ok, self.done - self.due, np.inf)

    @property
    def service_seconds(self) -> NDArray[np.float64]:
        """[N], from sent to done: what peers report; infinite without a right answer."""
        return np.where(self.ok, self.done - self.sent, np.inf)

    @property
    def lag_seconds(self) -> NDArray[np.float64]:
        """[M <= N], from due to sent, of those that were sent: the generator's own delay."""
        lag: NDArray[np.float64] = (self.sent - self.due)[~np.isnan(self.sent)]
        return lag

    def outcome_counts(self) -> dict[str, int]:
        """How often each outcome came, those that did not come left out."""
        counts = np.bincount(self.outcome, minlength=len(OUTCOMES))
        return {name: int(count) for name, count in zip(OUTCOMES, counts, strict=True) if count}

    def answering_seconds(self, least: float) -> float:
        """From the start to the last right answer, and at least `least` seconds: what rates of answers are told of.

        How long a request hung that failed in the end says nothing of how fast the others were answered.
        """
        return max(least, float(self.done[self.ok].max(initial=0.0)))

    def select(self, rows: NDArray[np.bool_]) -> Trace:
        """The rows where `rows` [N] is true."""
        return Trace(self.due[rows], self.sent[rows], self.done[rows], self.message[rows], self.outcome[rows])


@contextlib.contextmanager
def shared_rows(count: int) -> Iterator[tuple[NDArray[np.void], Path]]:
    """`count` rows [`ROW`] that several processes can write to at the same time, and the file that they open for it.

    Every row begins as one that is not yet due: its instants are NaN and its outcome is `PENDING`. The file is memory
    that belongs to no disk where the system has such a thing: a disk that is busy would hold up the senders.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("loadtest")
            stack.callback(os.close, descriptor)
            file = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        else:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-")), "rows")
        rows = np.memmap(file, ROW, "w+", shape=(count,))
        for column in ("due", "sent", "done"):
            rows[column] = np.nan
        rows["outcome"] = PENDING
        yield rows, file


def read_rows(rows: NDArray[np.void]) -> Trace:
    """The trace in `rows` [`ROW`], those left out that were never due; a copy."""
    # By column, and what was never due sorts last: rows are not copied more than once, since they can be very many.
    order = np.argsort(rows["due"], kind="stable")[: np.count_nonzero(~np.isnan(rows["due"]))]
    return Trace(*(rows[column][order] for column in ROW.names or ()))


def due_after(trace: Trace, seconds: float) -> Trace:
    """The requests that were due after the first `seconds`, with instants since then."""
    if not seconds:
        return trace
    rest = trace.select(trace.due >= seconds)
    return Trace(rest.due - seconds, rest.sent - seconds, rest.done - seconds, rest.message, rest.outcome)


NOTHING = read_rows(np.empty(0, ROW))
"""A trace without requests."""
