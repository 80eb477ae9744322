from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest.objective import Objective
from loadtest.recovery import drift, findings, rejections
from tests.loadtest.traces import DROPPED, FAILED, run

if TYPE_CHECKING:
    from loadtest.run import Run


def lasting(latency_ms: list[float], seconds: float) -> Run:
    """A run with these latencies, evenly over some seconds."""
    measured = run(latency_ms, seconds=seconds)
    stretch = np.arange(len(latency_ms)) * (seconds / len(latency_ms)) - measured.trace.due
    for column in (measured.trace.due, measured.trace.sent, measured.trace.done):
        np.add(column, stretch, out=column)
    return measured


def test_recovery_counts_from_the_end_of_a_burst() -> None:
    """Bursts end at 6 s and 16 s; the first is felt for a second, the second not at all."""
    latencies = [10.0] * 2000
    latencies[400:700] = [200.0] * 300  # due from 4 s to 6.99 s
    found = findings(lasting(latencies, 20.0), Objective(0.1))

    assert found["recovery_seconds"] == pytest.approx([0.99, 0])
    assert found["recovery_limit_ms"] == 100


def test_refusals_are_told_with_their_speed() -> None:
    """Who is refused and how long that took; what was dropped was never refused by the server."""
    found = rejections(lasting([10.0] * 70 + [FAILED] * 20 + [DROPPED] * 10, 10.0), 10.0)

    shares = [found[f"{name}_share"] for name in ("refused", "timed_out", "dropped")]
    assert shares == pytest.approx([0.2, 0, 0.1])
    assert found["failures"] == {"UNAVAILABLE": 20, "DROPPED": 10}
    assert found["refusal_ms"]["p50"] == pytest.approx(1000)


def test_a_deadline_that_passes_is_no_refusal() -> None:
    """A server that lets its callers wait for as long as they do has refused nobody, and not quickly either."""
    found = rejections(lasting([10.0] * 70 + [FAILED] * 30, 10.0), 1.0)  # they fail after a second

    assert (found["refused_share"], found["timed_out_share"]) == pytest.approx((0, 0.3))
    assert found["refusal_ms"]["p50"] is None


def test_a_refusal_that_takes_long_does_not_lower_the_rate_of_answers() -> None:
    """The last refusal comes after the end; the answers were as fast as they were."""
    assert rejections(lasting([10.0] * 70 + [FAILED] * 30, 10.0), 10.0)["answered_per_second"] == pytest.approx(7)


def test_drift_shows_each_tenth() -> None:
    """A server that becomes slower shows it in the later tenths."""
    found = drift(lasting([10.0] * 5000 + [20.0] * 5000, 100.0))

    assert found["p50_ms_by_tenth"] == pytest.approx([10.0] * 5 + [20.0] * 5)
    assert found["p99_ms_by_tenth"] == pytest.approx([10.0] * 5 + [20.0] * 5)
