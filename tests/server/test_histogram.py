from __future__ import annotations

import time
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.histogram import LATENCY_EDGES, STAGE_EDGES, Histogram


def test_the_edges_hold_the_usual_objectives() -> None:
    """Shares of requests within 15, 50, 100 and 200 ms can be read off exactly, and edges ascend."""
    for edges in (LATENCY_EDGES, STAGE_EDGES):
        assert {0.015, 0.05, 0.1, 0.2} <= set(edges)
        assert sorted(set(edges)) == list(edges)


def test_a_value_belongs_to_the_first_edge_that_is_not_below_it() -> None:
    """`le` means less or equal: a value on an edge counts there."""
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 8


def test_one_call_can_count_many() -> None:
    """A value that was observed several times weighs as often."""
    histogram = Histogram((4,))
    histogram.observe(3, times=5)
    histogram.observe(3, times=0)
    assert histogram.counts == [5, 0]
    assert histogram.sum == 15


@given(st.lists(st.floats(0, 20)))
def test_counts_are_what_counting_gives(values: list[float]) -> None:
    """The counts up to an edge are the number of values up to it."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    for edge, count in zip((*LATENCY_EDGES, float("inf")), accumulate(histogram.counts), strict=True):
        assert count == sum(value <= edge for value in values)
    assert histogram.sum == pytest.approx(sum(values))


def test_each_bucket_keeps_its_last_exemplar() -> None:
    """An observation with a request's id can be found by its bucket, until the next one; others leave it alone."""
    histogram = Histogram((1, 2))
    before = time.time()
    for value, request_id in ((0.5, "first"), (0.7, "second"), (1.5, ""), (9, "slow"), (0.6, "")):
        histogram.observe(value, request_id=request_id)
    told = {bucket: (each.request_id, each.value) for bucket, each in histogram.exemplars.items()}
    assert told == {0: ("second", 0.7), 2: ("slow", 9)}
    assert all(before <= each.finished <= time.time() for each in histogram.exemplars.values())


def test_a_copy_stays_as_it_is() -> None:
    """What is observed later is not in it, and it has all that was observed before."""
    histogram = Histogram((1, 2))
    histogram.observe(1.5, request_id="a")
    copy = histogram.copy()
    histogram.observe(0.5, request_id="b")
    assert (copy.edges, copy.counts, copy.sum) == ((1, 2), [0, 1, 0], 1.5)
    assert [each.request_id for each in copy.exemplars.values()] == ["a"]
