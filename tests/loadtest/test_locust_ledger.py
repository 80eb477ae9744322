"""Rows of several processes come together in one trace."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtest.locust_ledger import Ledger
from loadtest.trace import DROPPED, ROW

_REQUESTS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1), st.floats(0, 1)), max_size=30)


def fill(ledger: Ledger, requests: list[tuple[float, float, float]]) -> None:
    """Add requests given as due, lag and service time."""
    for due, lag, service in requests:
        ledger.add(due, due + lag, due + lag + service, 0, "OK")


@given(first=_REQUESTS, second=_REQUESTS, own=_REQUESTS)
def test_a_master_has_what_its_workers_had(
    first: list[tuple[float, float, float]],
    second: list[tuple[float, float, float]],
    own: list[tuple[float, float, float]],
) -> None:
    """Nothing is lost or counted twice, however rows are split into reports."""
    master, worker = Ledger(), Ledger()
    fill(master, own)
    for requests in (first, second):
        fill(worker, requests)
        master.receive(worker.take())
    master.receive(worker.take())

    everything = sorted(own + first + second)
    trace = master.trace()
    assert len(master) == len(trace) == len(everything)
    assert np.allclose(trace.response_seconds.sum(), sum(lag + service for _, lag, service in everything), atol=1e-3)
    assert np.allclose(trace.due, [due - everything[0][0] for due, _, _ in everything], atol=1e-4)


def test_a_worker_keeps_nothing_that_its_master_has() -> None:
    """However long a test goes on, a worker has no more rows than since its last report."""
    worker = Ledger()
    fill(worker, [(1, 0, 0.5)] * 10)
    assert len(worker.take()) == 10 * ROW.itemsize
    assert len(worker) == 0
    assert worker.take() == b""


def test_rows_take_little_memory_also_at_the_end() -> None:
    """A ledger takes less than twice the size of its rows, and making a trace of it no more than that beside it."""
    rows = 20_000
    tracemalloc.start()
    ledger = Ledger()
    fill(ledger, [(due, 0, 0.5) for due in range(rows)])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    trace = ledger.trace()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(trace) == rows
    assert held < 2 * rows * ROW.itemsize
    assert peak - held < 2 * rows * ROW.itemsize


def test_tells_what_is_new_once() -> None:
    """Whoever looks again and again sees each request one time, whether it is its own or a worker's."""
    master, worker = Ledger(), Ledger()
    fill(master, [(1, 0, 0.5)])
    assert len(master.latest()) == 1
    fill(master, [(2, 0, 0.5)])
    fill(worker, [(3, 0, 0.5), (4, 0, 0.5)])
    master.receive(worker.take())

    assert len(master.latest()) == 3
    assert len(master.latest()) == 0


def test_a_request_that_was_never_sent_is_a_miss() -> None:
    """It has a place in the trace, and no answer."""
    ledger = Ledger()
    ledger.add(1.0, np.nan, np.nan, 0, DROPPED)

    trace = ledger.trace()
    assert trace.outcome_counts() == {DROPPED: 1}
    assert np.isinf(trace.response_seconds).all()
