from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.histogram import LATENCY_EDGES, Histogram


def test_the_edges_hold_the_usual_objectives() -> None:
    """Shares of requests within 15, 50, 100 and 200 ms can be read off exactly, and edges ascend."""
    assert {0.015, 0.05, 0.1, 0.2} <= set(LATENCY_EDGES)
    assert sorted(set(LATENCY_EDGES)) == list(LATENCY_EDGES)


def test_a_value_belongs_to_the_first_edge_that_is_not_below_it() -> None:
    """`le` means less or equal: a value on an edge counts there."""
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.cumulative() == [("1", 2), ("2", 4), ("+Inf", 5)]
    assert histogram.sum == 8


def test_one_call_can_count_many() -> None:
    """A value that was observed several times weighs as often."""
    histogram = Histogram((4,))
    histogram.observe(3, times=5)
    histogram.observe(3, times=0)
    assert histogram.cumulative() == [("4", 5), ("+Inf", 5)]
    assert histogram.sum == 15


@settings(deadline=None)
@given(st.lists(st.floats(0, 20)))
def test_counts_are_what_counting_gives(values: list[float]) -> None:
    """Each cumulative count is the number of values up to its edge."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    for edge, count in histogram.cumulative():
        assert count == sum(value <= float(edge) for value in values)
    assert histogram.sum == pytest.approx(sum(values))
