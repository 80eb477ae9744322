"""The sending processes: started once, given one run after another, and watched from outside while they work."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from loadtest import sender
from loadtest.target import TargetError
from loadtest.termination import SIGNALS, held_back
from loadtest.trace import DROPPED, OUTCOME, PENDING, read_rows, shared_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from loadtest.schedule import Schedule
    from loadtest.sender import Order, Report, SenderSettings
    from loadtest.trace import Trace

_START_SECONDS = 30.0
_END_SECONDS = 10.0  # more than a sender waits for last answers
_LEAD_SECONDS = 0.05  # from the order to the start of a run, so that every process is there in time
_LOOK_SECONDS = 0.5
_LOOKING_SHARE = 0.02  # of a core at most: a look costs the more, the longer the run
# Requests a second for which a closed loop has room, of each process and of each caller: more than they can send.
_MOST_OF_PROCESS, _MOST_OF_CALLER = 20_000, 5_000

Watch: TypeAlias = "Callable[[NDArray[np.void], float], bool]"
"""Called with the rows and the seconds since the start, twice a second or, where it takes long, more rarely; False
stops the run."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Sent:
    """What the senders did: the trace, the CPU share of the busiest, how far the clocks drifted, whether cut short.

    `cut_seconds` is the instant from which on nothing more was due, as somebody asked to stop; None where nobody did.
    """

    trace: Trace
    cpu: float
    clock_drift: float
    stopped: bool
    cut_seconds: float | None = None


class Senders:
    """Processes that send; use as a context manager.

    `stopped()` is asked twice a second, and ends a run when it is true.

    Attributes:
        pids: Theirs.

    Raises:
        TargetError: The server cannot be reached, or a process died.
    """

    def __init__(self, settings: SenderSettings, processes: int = 1, stopped: Callable[[], bool] = _never) -> None:
        self._stopped = stopped
        self._settings = replace(settings, most_in_flight=max(1, settings.most_in_flight // processes))
        self._processes = processes
        self.pids: list[int] = []
        self._stack = contextlib.ExitStack()
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            for _ in range(self._processes):
                self._start()
            for connection in self._connections:
                if not connection.poll(_START_SECONDS):
                    raise TargetError(f"no connection within {_START_SECONDS:g} s")
                _receive(connection)
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._stack.close()

    def _start(self) -> None:
        # Spawned, not forked: gRPC does not survive a fork.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=sender.main, args=(self._settings, theirs), daemon=True)
        with held_back(), _masked():
            process.start()
            self._stack.callback(_end, process)
            self._stack.callback(ours.close)  # ... of which the process takes notice
        self.pids += [process.pid] if process.pid is not None else []
        self._connections.append(ours)
        theirs.close()

    def open_loop(self, due: Schedule, watch: Watch) -> Sent:
        """Send a request at each instant of `due` (seconds, ascending) and wait for the last answer."""
        with shared_rows(len(due)) as (rows, file):
            rows["due"] = due
            return self._run(rows, sender.Order(file, len(rows), 0, len(self._connections), 0.0), watch)

    def closed_loop(self, callers: int, seconds: float, watch: Watch) -> Sent:
        """Let `callers` send for `seconds`, each its next request when its last one has ended."""
        every = min(callers, len(self._connections))
        most = min(_MOST_OF_PROCESS * every, _MOST_OF_CALLER * callers)
        with shared_rows(int(seconds * most) + callers) as (rows, file):
            sent = self._run(rows, sender.Order(file, len(rows), 0, every, 0.0, seconds, callers), watch)
            if len(sent.trace) == len(rows):
                raise TargetError(f"answers come faster than the {most} a second for which there is room")
            return sent

    def _run(self, rows: NDArray[np.void], order: Order, watch: Watch) -> Sent:
        start = time.perf_counter() + _LEAD_SECONDS
        connections = self._connections[: order.every]
        for number, connection in enumerate(connections):
            callers = len(range(number, order.callers, order.every))
            connection.send(replace(order, first=number, start=start, callers=callers))
        reports, cut = self._wait(connections, rows, start, watch)
        if cut is not None:
            rows["due"][~(rows["due"] <= cut)] = np.nan  # what was not yet due has not been missed
            rows["outcome"][rows["outcome"] == PENDING] = OUTCOME[DROPPED]
        trace = read_rows(rows)
        steady = max(report.steady_seconds for report in reports)
        return Sent(
            trace=trace,
            cpu=max(report.cpu for report in reports),
            clock_drift=max(abs(report.wall_seconds - report.steady_seconds) for report in reports) / max(steady, 1e-9),
            stopped=any(report.stopped for report in reports),
            cut_seconds=cut,
        )

    def _wait(
        self, connections: Sequence[Connection], rows: NDArray[np.void], start: float, watch: Watch
    ) -> tuple[list[Report], float | None]:
        """Each sender's report, and when the run was stopped if it was."""
        reports: list[Report] = []
        waiting, cut, next_look = list(connections), None, 0.0
        while waiting:
            ready = multiprocessing.connection.wait(waiting, _LOOK_SECONDS)
            reports += [_receive(connection) for connection in waiting if connection in ready]
            waiting = [connection for connection in waiting if connection not in ready]
            elapsed, goes_on = time.perf_counter() - start, True
            if elapsed >= next_look or not waiting:
                goes_on = watch(rows, elapsed)
                looked = time.perf_counter() - start
                next_look = looked + max(_LOOK_SECONDS, (looked - elapsed) / _LOOKING_SHARE)
            if cut is None and (self._stopped() or not goes_on):
                cut = elapsed
                for connection in waiting:
                    connection.send(None)
        return reports, cut


def _end(process: BaseProcess) -> None:
    process.join(_END_SECONDS)
    if process.is_alive():
        process.kill()
    process.join()


@contextlib.contextmanager
def _masked() -> Iterator[None]:
    """Mask signals for the processes that are started here, which would end by them until they ignore them."""
    multiprocessing.resource_tracker.ensure_running()  # or the first process would start it, which ends the masking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(connection: Connection) -> Any:
    """What a sender says; TargetError where it can say nothing any more."""
    try:
        return connection.recv()
    except (EOFError, OSError) as error:
        raise TargetError("a sending process ended before its time: was there too little memory?") from error


def ended(rows: NDArray[np.void]) -> Trace:
    """The requests that have ended by now, or were dropped."""
    return read_rows(rows[rows["outcome"] != PENDING])
