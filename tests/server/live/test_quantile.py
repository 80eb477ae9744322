from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.histogram import LATENCY_EDGES, Histogram
from server.live.quantile import Quantile, quantile, share_above

EDGES = (1.0, 2.0, 4.0)


def test_nothing_has_no_quantile() -> None:
    """Without observations nothing is made up."""
    assert quantile(EDGES, [0, 0, 0, 0], 0.5) is None
    assert share_above(EDGES, [0, 0, 0, 0], 1) == 0


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 4, 0, 0], 0.5, Quantile(1.5, 1.0, 2.0)),
        ([1, 0, 1, 0], 0.5, Quantile(1.0, 0.0, 1.0)),
        ([1, 0, 1, 0], 0.99, Quantile(3.96, 2.0, 4.0)),
        ([0, 0, 0, 1], 0.5, Quantile(4.0, 4.0, math.inf)),
    ],
)
def test_quantiles_lie_within_their_bucket(counts: list[int], share: float, expected: Quantile) -> None:
    """The value is interpolated as Prometheus does, and the bucket's edges tell how far that can be wrong."""
    found = quantile(EDGES, counts, share)
    assert found is not None
    assert (found.low, found.high) == (expected.low, expected.high)
    assert found.value == pytest.approx(expected.value)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50), st.floats(0.01, 1))
def test_the_edges_hold_the_true_quantile(values: list[float], share: float) -> None:
    """Whatever was observed, the quantile by rank lies between the edges that are told."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    found = quantile(LATENCY_EDGES, histogram.counts, share)
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    assert found is not None
    assert found.low <= true <= found.high
    assert found.low <= found.value <= found.high


def test_shares_are_exact_at_edges() -> None:
    """What is on an edge belongs below it."""
    assert share_above(EDGES, [1, 1, 1, 1], 2.0) == 0.5
    assert share_above(EDGES, [1, 1, 1, 1], 4.0) == 0.25
