from __future__ import annotations

import urllib.request
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from loadtest.metrics import LoadMetrics, serve
from loadtest.progress import Progress
from tests.loadtest.traces import DROPPED, FAILED, trace
from tests.serving import Samples

PROGRESS = Progress(
    run=0,
    label="poisson",
    target="127.0.0.1:8001",
    scenario="poisson",
    elapsed_seconds=1.0,
    total_seconds=2.0,
    rate=50.0,
    trace=trace([10.0, 200.0, FAILED, DROPPED], lag_ms=2.0),
    in_flight=3,
    client_cpu=0.25,
)


def test_a_scrape_tells_what_has_ended() -> None:
    """Latencies by kind, requests by code, drops, the rate and the client's CPU are on the page, with their labels."""
    metrics, port = serve("127.0.0.1", 0)
    metrics(PROGRESS)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        samples = Samples(page.read().decode())

    labels = {"target": "127.0.0.1:8001", "scenario": "poisson"}
    duration = "loadgen_request_duration_seconds"
    assert samples.total(f"{duration}_bucket", le="0.01", kind="response", **labels) == 1
    assert samples.total(f"{duration}_bucket", le="10.0", kind="response", **labels) == 2
    assert samples.total(f"{duration}_count", kind="response", **labels) == 4  # who has no answer waits for ever
    assert samples.total(f"{duration}_sum", kind="response", **labels) == pytest.approx(0.21)
    assert samples.total(f"{duration}_count", kind="service", **labels) == 2
    assert samples.total(f"{duration}_sum", kind="service", **labels) == pytest.approx(0.206)
    assert samples.total("loadgen_requests", code="UNAVAILABLE", **labels) == 1
    assert samples.total("loadgen_dropped", **labels) == 1
    assert samples.total("loadgen_offered_rps", **labels) == 50
    assert samples.total("loadgen_inflight", **labels) == 3
    assert samples.total("loadgen_schedule_lag_seconds_bucket", le="0.0025", **labels) == 3
    assert samples.total("loadgen_cpu_ratio") == 0.25


def test_counters_only_grow() -> None:
    """The same run told again counts once, and the next run is added to it."""
    registry = CollectorRegistry()
    metrics = LoadMetrics(registry)
    for progress in (PROGRESS, PROGRESS, replace(PROGRESS, run=1)):
        metrics(progress)

    assert registry.get_sample_value(
        "loadgen_requests_total", {"target": PROGRESS.target, "scenario": "poisson", "code": "OK"}
    ) == pytest.approx(4)


def test_before_the_first_run_there_is_nothing_to_tell() -> None:
    """A scrape that comes too early finds no family, rather than zeros of an unknown target."""
    registry = CollectorRegistry()
    LoadMetrics(registry)

    assert list(registry.collect()) == []
