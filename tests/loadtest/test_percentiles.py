from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.percentiles import percentiles_ms, quantile


def test_percentiles_are_values_that_were_seen() -> None:
    """No percentile is invented between two latencies."""
    found = percentiles_ms(np.arange(1, 10_001) / 1e3)

    assert found == pytest.approx({"p50": 5000, "p90": 9000, "p95": 9500, "p99": 9900, "p999": 9990, "max": 10_000})


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_a_quantile_has_its_share_below_it(values: list[float], q: float) -> None:
    """At least a share of q is not above the quantile, and less than that is below it."""
    found = quantile(np.sort(values), q)

    assert np.mean(np.array(values) <= found) >= q - 1e-9
    assert np.mean(np.array(values) < found) < q + 1e-9


def test_what_too_few_requests_tell_is_not_told() -> None:
    """A percentile needs ten requests that are expected beyond it; the slowest one is always known."""
    assert percentiles_ms(np.ones(999))["p99"] is None
    assert percentiles_ms(np.ones(1000))["p99"] == 1000
    assert percentiles_ms(np.ones(1))["max"] == 1000
    assert set(percentiles_ms(np.empty(0)).values()) == {None}


def test_what_never_came_is_no_number() -> None:
    """A percentile that falls on a request without an answer is None, since JSON has no infinity."""
    seconds = np.concatenate([np.ones(950), np.full(50, np.inf)])

    assert percentiles_ms(seconds)["p95"] == 1000
    assert percentiles_ms(seconds)["p99"] is None
