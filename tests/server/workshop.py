"""Instances whose executions wait until the test lets them go, and a clock that only the test moves.

So a test decides what is busy and what waits, without sleeping, and knows what every batch size costs.
"""

from __future__ import annotations

import math
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.instance import Execution

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    import pytest
    from numpy.typing import NDArray

    from server.batching import Batcher
    from server.instance import Reply

HANGING_SECONDS = 20.0  # a bound for what would never happen, not a measure
FORGOTTEN = "forgotten"  # a payload that instances do not answer, against their contract


class Clock:
    """Stands in for the module `time`: stands still unless told otherwise.

    Numbers in tests are sums of powers of two, so that arithmetic with them is exact.
    """

    def __init__(self) -> None:
        self._now = 1024.0
        self._own = threading.local()

    def monotonic(self) -> float:
        """Seconds, with the work that this very thread has done in warm-up."""
        return self._now + float(getattr(self._own, "seconds", 0.0))

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""
        return round(self.monotonic() * 1e9)

    def advance(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        self._now += seconds

    def work(self, seconds: float) -> None:
        """Let time pass for this thread alone: instances warm up at the same time, and each measures itself."""
        self._own.seconds = getattr(self._own, "seconds", 0.0) + seconds

    def settle(self) -> None:
        """Bring all threads back to one time."""
        self._own = threading.local()


@dataclass(eq=False)
class Run:
    """One execution, which is under way until `finish` or `fail`."""

    payloads: list[str]
    rows: list[int]
    over: Future[None] = field(default_factory=Future)

    def finish(self) -> None:
        """Let the model answer."""
        self.over.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Let the model raise."""
        self.over.set_exception(error)


class Workshop:
    """What the instances of one batcher have in common; `seconds(rows)` is what an execution costs by the clock."""

    def __init__(self, clock: Clock, seconds: Callable[[int], float]) -> None:
        self.clock = clock
        self.seconds = seconds
        self.instances: list[WorkshopInstance] = []
        self.warmed: list[tuple[int, int]] = []  # number of the instance, rows
        self.samples: list[tuple[int, int]] = []  # likewise
        self.executed: list[list[str]] = []
        self._changed = threading.Condition()
        self._started: list[Run] = []
        self._under_way: list[Run] = []
        self._attended = True

    def next_run(self) -> Run:
        """The next execution that starts; it is an error if none ever does."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._started, HANGING_SECONDS), "no execution started"
            return self._started.pop(0)

    def run_alone(self) -> None:
        """Let every execution end, and those to come without asking."""
        with self._changed:
            self._attended = False
        for run in self._under_way:
            if not run.over.done():
                run.finish()

    def forget(self) -> None:
        """Drop what is remembered of executions."""
        self.executed.clear()
        self._started.clear()
        self._under_way.clear()

    def execute(self, run: Run) -> None:
        """In an instance's thread: announce the execution and wait for its end."""
        with self._changed:
            self.executed.append(run.payloads)
            if not self._attended:
                return
            self._started.append(run)
            self._under_way.append(run)
            self._changed.notify_all()
        over = run.over
        try:
            over.result(HANGING_SECONDS)
        finally:
            del run, over  # what they raise knows this frame


class WorkshopInstance:
    """One executor; answers each payload with the payload and an exclamation mark."""

    def __init__(self, workshop: Workshop, number: int, unfit: BaseException | None = None) -> None:
        """Warm-up raises `unfit`."""
        self._workshop = workshop
        self._number = number
        self._unfit = unfit
        self.thread: threading.Thread | None = None
        self.is_closed = False
        workshop.instances.append(self)

    def open(self) -> None:
        """Remember the thread."""
        self.thread = threading.current_thread()

    def warm_up(self, rows: int) -> bool:
        """Take the time that `rows` rows take."""
        assert self.thread is threading.current_thread()
        if self._unfit is not None:
            raise self._unfit
        self._workshop.warmed.append((self._number, rows))
        self._workshop.clock.work(self._workshop.seconds(rows))
        return True

    def run_sample(self, tensors: Sequence[NDArray[Any]], rows: int) -> None:
        """Note the sample; one whose value is negative fails."""
        self._workshop.samples.append((self._number, rows))
        if float(tensors[0].min()) < 0:
            raise ValueError("a negative sample")

    def run(self, payloads: Sequence[str], rows: Sequence[int]) -> Execution[str]:
        """Wait until the test lets the batch go."""
        assert self.thread is threading.current_thread()
        self._workshop.execute(Run(list(payloads), list(rows)))
        started_ns = self._workshop.clock.monotonic_ns()
        finished_ns = started_ns + round(self._workshop.seconds(sum(rows)) * 1e9)
        answers = [payload + "!" for payload in payloads if payload != FORGOTTEN]
        return Execution(answers, started_ns, started_ns, finished_ns, finished_ns)

    def close(self) -> None:
        """Remember that it was told."""
        assert self.thread is threading.current_thread()
        self.is_closed = True


@dataclass(frozen=True)
class Bench:
    """A batcher that runs, with its workshop and its clock."""

    batcher: Batcher[str, str]
    workshop: Workshop
    clock: Clock
    observed: list[int]  # rows of each execution that succeeded

    def submit(self, payload: str, rows: int = 1, *, within: float = math.inf) -> Future[Reply[str]]:
        """Submit a request that must be answered `within` so many seconds."""
        return self.batcher.submit(payload, rows, self.clock.monotonic() + within)

    def at_once(self) -> contextlib.AbstractContextManager[bool]:
        """What is submitted within is seen by the instances all at once."""
        return self.batcher._changed

    def next_run(self) -> Run:
        """The next execution that starts."""
        return self.workshop.next_run()

    def watch_windows(self, monkeypatch: pytest.MonkeyPatch) -> queue.SimpleQueue[float]:
        """The lengths of the windows in which an instance begins to wait for company, from now on."""
        lengths, wait = queue.SimpleQueue[float](), self.batcher._changed.wait

        def watched_wait(timeout: float | None = None) -> bool:
            if timeout is not None:
                lengths.put(timeout)  # under the lock, which only waiting gives up
            return wait(timeout)

        monkeypatch.setattr(self.batcher._changed, "wait", watched_wait)
        return lengths

    def occupy(self, count: int = 1) -> list[Run]:
        """Give `count` idle instances something to do; they are busy until these executions are let go."""
        runs = []
        for number in range(count):
            self.submit(f"busy {number}")
            runs.append(self.next_run())
        return runs


def answer(future: Future[Reply[str]]) -> str:
    """The answer, once it is there."""
    return future.result(HANGING_SECONDS).result


def failure(future: Future[Reply[str]]) -> BaseException | None:
    """Why there is no answer, once that is known."""
    return future.exception(HANGING_SECONDS)
