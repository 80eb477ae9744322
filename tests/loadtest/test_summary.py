from __future__ import annotations

import json

import numpy as np
import pytest

from loadtest.generator import Trace
from loadtest.summary import summarize


def trace(latency_ms: list[float], lag_ms: float = 0.0, client_cpu: float = 0.1) -> Trace:
    """A trace of one request a millisecond; an infinite latency is an error, a NaN a dropped request."""
    count = len(latency_ms)
    due = np.arange(count) / 1e3
    milliseconds = np.array(latency_ms)
    sent = np.where(np.isnan(milliseconds), np.nan, due + lag_ms / 1e3)
    status = np.where(np.isnan(milliseconds), "DROPPED", np.where(np.isinf(milliseconds), "UNAVAILABLE", "OK"))
    done = due + np.where(np.isinf(milliseconds), 1.0, milliseconds) / 1e3
    return Trace(due, sent, done, status, client_cpu)


def test_latency_counts_from_when_a_request_was_due() -> None:
    """A client that sends late makes latencies longer, and service times not."""
    summary = summarize(trace([30.0] * 100, lag_ms=20.0))

    assert summary["latency_ms"]["p50"] == pytest.approx(30)
    assert summary["service_ms"]["p50"] == pytest.approx(10)


def test_percentiles_are_values_that_were_seen() -> None:
    """No percentile is invented between two latencies."""
    summary = summarize(trace([float(value) for value in range(1, 101)]))

    assert summary["latency_ms"] == pytest.approx(
        {"p50": 51, "p90": 91, "p95": 96, "p99": 100, "p999": 100, "max": 100}
    )


def test_errors_and_drops_are_misses() -> None:
    """What never got an answer stands at the end of the latencies, and is not removed."""
    summary = summarize(trace([10.0] * 97 + [np.inf] * 2 + [np.nan]))

    assert summary["latency_ms"]["p95"] == pytest.approx(10)
    assert summary["latency_ms"]["p99"] is None
    assert summary["errors"] == {"UNAVAILABLE": 2}
    assert summary["dropped"] == 1


@pytest.mark.parametrize(("slowest_ms", "verdict"), [(99.0, "met"), (101.0, "missed")])
def test_the_objective_is_held_against_p99(slowest_ms: float, verdict: str) -> None:
    """Two of a hundred requests above the objective miss it."""
    summary = summarize(trace([10.0] * 98 + [slowest_ms] * 2), objective_ms=100.0)

    assert summary["verdict"] == verdict
    assert summary["reasons"] == []


@pytest.mark.parametrize(
    ("doubtful", "word"),
    [
        (trace([10.0] * 100, lag_ms=9.0), "late"),
        (trace([10.0] * 100, client_cpu=0.95), "busy"),
        (trace([10.0] * 90 + [np.nan] * 10), "could be sent"),
    ],
)
def test_a_client_that_was_too_slow_gives_no_verdict(doubtful: Trace, word: str) -> None:
    """When the client may have been what was measured, the run is invalid and says why."""
    summary = summarize(doubtful, objective_ms=100.0)

    assert summary["verdict"] == "invalid"
    assert word in summary["reasons"][0]


def test_a_run_without_answers_can_be_summarized_and_written() -> None:
    """A server that refuses everything gives a summary, too, and it is valid JSON."""
    summary = summarize(trace([np.inf] * 10))

    assert summary["achieved_rate"] == 0
    json.loads(json.dumps(summary, allow_nan=False))
