from __future__ import annotations

import math
import sys
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.batching import Batcher
from server.errors import DeadlineUnreachable, ModelFailed, QueueFull
from server.instance import Execution
from server.request_queue import BatchingPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from server.instance import Reply

_MAX_ROWS = 4
_SUBMITTERS = 3


@dataclass(frozen=True)
class _Request:
    number: int
    rows: int
    poisoned: bool
    leaves: bool
    within: float


@dataclass(eq=False)
class _Instance:
    """Answers each request with its number, unless one of the batch is poisoned."""

    batches: list[list[_Request]] = field(default_factory=list)

    def open(self) -> None:
        """Nothing to prepare."""

    def warm_up(self, rows: int) -> bool:  # noqa: ARG002 - the protocol's
        """Nothing to warm up, or to learn."""
        return False

    def run_sample(self, tensors: Sequence[NDArray[Any]], rows: int) -> None:
        """Nobody has a sample."""

    def run(self, payloads: Sequence[_Request], rows: Sequence[int]) -> Execution[int]:
        """Answer."""
        assert list(rows) == [request.rows for request in payloads]
        started_ns = time.monotonic_ns()
        if any(request.poisoned for request in payloads):
            raise ValueError
        self.batches.append(list(payloads))
        return Execution([request.number for request in payloads], *[started_ns] * 3, time.monotonic_ns())

    def close(self) -> None:
        """Nothing to give up."""


class _Submitter(threading.Thread):
    """A caller: submits its requests one after the other, leaves some of them, and notes how each one ends."""

    def __init__(self, batcher: Batcher[_Request, int], requests: Sequence[_Request]) -> None:
        super().__init__()
        self._batcher = batcher
        self._requests = requests
        self.refused: dict[_Request, Exception] = {}
        self.futures: dict[_Request, Future[Reply[int]]] = {}
        self.ends: Counter[_Request] = Counter()

    def run(self) -> None:
        for request in self._requests:
            try:
                future = self._batcher.submit(request, request.rows, time.monotonic() + request.within)
            except (QueueFull, DeadlineUnreachable) as error:
                self.refused[request] = error
                continue
            self.futures[request] = future
            future.add_done_callback(lambda _future, request=request: self.ends.update([request]))
            if request.leaves:
                future.cancel()


@st.composite
def _requests(draw: st.DrawFn) -> list[_Request]:
    rare = st.sampled_from([False, False, False, True])
    within = st.sampled_from([math.inf, math.inf, 60.0, 0.0002, 0.0])
    return [
        _Request(number, draw(st.integers(1, _MAX_ROWS)), draw(rare), draw(rare), draw(within))
        for number in range(draw(st.integers(1, 60)))
    ]


@pytest.fixture(scope="module", autouse=True)
def _frequent_switches() -> Iterator[None]:
    """Let threads interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@settings(max_examples=60)
@given(
    requests=_requests(),
    instances=st.integers(1, 3),
    merge=st.booleans(),
    capacity=st.sampled_from([1, 5, 1000]),
    window=st.sampled_from([0.0, 0.0005]),
)
def test_every_request_ends_exactly_once(
    *, requests: list[_Request], instances: int, merge: bool, capacity: int, window: float
) -> None:
    """Whatever callers do at the same time, each request has one end, the right one, and its own result."""
    executors = [_Instance() for _ in range(instances)]
    policy = BatchingPolicy(_MAX_ROWS, merge, capacity, window)
    batcher = Batcher("model", executors, policy, lambda _rows, _execution: None)
    batcher.start()
    submitters = [_Submitter(batcher, requests[start::_SUBMITTERS]) for start in range(_SUBMITTERS)]
    for thread in submitters:
        thread.start()
    for thread in submitters:
        thread.join()
    batcher.close()
    answered = set()
    for submitter in submitters:
        assert set(submitter.refused) | set(submitter.futures) == set(submitter._requests)
        assert submitter.ends == Counter(dict.fromkeys(submitter.futures, 1))
        answered |= {request for request in submitter.futures if _is_answered(request, submitter.futures[request])}
    batches = [batch for executor in executors for batch in executor.batches]
    assert Counter(request for batch in batches for request in batch) == Counter(dict.fromkeys(answered, 1))
    assert all(sum(request.rows for request in batch) <= _MAX_ROWS for batch in batches)
    assert merge or all(len(batch) == 1 for batch in batches)
    assert (batcher.waiting, batcher._queue._waiting_rows, batcher.busy) == (0, 0, 0)


def _is_answered(request: _Request, future: Future[Reply[int]]) -> bool:
    """Check a future's end; true for a result."""
    assert future.done()
    try:
        reply = future.result()
    except CancelledError:
        assert request.leaves
    except DeadlineUnreachable:
        assert request.within < math.inf
    except ModelFailed:
        assert request.poisoned
    else:
        assert not request.poisoned
        assert reply.result == request.number
        assert request.rows <= reply.batch_rows <= _MAX_ROWS
        return True
    return False
