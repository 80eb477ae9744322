"""The client's truth for Prometheus: `loadgen_*`, beside what the server says of itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from loadtest.trace import DROPPED, OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from prometheus_client import Metric

    from loadtest.progress import Progress
    from loadtest.trace import Trace

# The server's own edges, so that both can be laid over each other.
_LATENCY_EDGES = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
_LAG_EDGES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LABELS = ("target", "scenario")


def serve(host: str, port: int) -> tuple[LoadMetrics, int]:
    """Serve /metrics on `port`, 0 for any that is free; gives what is to be told of progress, and the port.

    Raises:
        OSError: The port is taken, or the host is not this machine.
    """
    registry = CollectorRegistry()
    metrics = LoadMetrics(registry)
    server, _ = start_http_server(port, host, registry)
    return metrics, server.server_port


@dataclass(slots=True)
class _Totals:
    """Counts of requests; [edges + 1] for each histogram, not cumulated, and the sum of what was counted."""

    outcomes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(OUTCOMES), np.int64))
    response: _Counts = field(default_factory=lambda: _Counts(_LATENCY_EDGES))
    service: _Counts = field(default_factory=lambda: _Counts(_LATENCY_EDGES))
    lag: _Counts = field(default_factory=lambda: _Counts(_LAG_EDGES))

    def add(self, trace: Trace) -> None:
        self.outcomes += np.bincount(trace.outcome, minlength=len(OUTCOMES))
        self.response.add(trace.response_seconds)
        self.service.add(trace.service_seconds[trace.ok])
        self.lag.add(trace.lag_seconds)


class _Counts:
    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self.sum = 0.0

    def add(self, seconds: NDArray[np.float64]) -> None:
        self._counts += np.bincount(np.searchsorted(self._edges, seconds), minlength=len(self._counts))
        self.sum += float(seconds[np.isfinite(seconds)].sum())

    def cumulative(self) -> list[tuple[str, float]]:
        edges = (*map(str, self._edges), "+Inf")
        return list(zip(edges, np.cumsum(self._counts).tolist(), strict=True))


class LoadMetrics(Collector):
    """Counts what `Progress` tells; an observer of sessions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._before = _Totals()  # the run that is under way left out
        self._totals = _Totals()
        self._latest: Progress | None = None
        registry.register(self)

    def __call__(self, progress: Progress) -> None:
        """Take what has ended by now of the run that is under way."""
        if self._latest and self._latest.run != progress.run:
            self._before = self._totals
        totals = copy.deepcopy(self._before)
        totals.add(progress.trace)
        self._totals, self._latest = totals, progress  # as a whole: a scrape may come at any time

    def collect(self) -> Iterator[Metric]:
        """The families, as they stand; none before the first run."""
        if (progress := self._latest) is None:
            return
        labels = (progress.target, progress.scenario)
        yield from self._histograms(labels)
        yield from self._counters(labels)
        for name, text, value in (
            (
                "loadgen_offered_rps",
                "Requests a second that the schedule means; 0 in a closed loop.",
                progress.rate or 0,
            ),
            ("loadgen_inflight", "Requests that were sent and have not ended.", progress.in_flight),
        ):
            gauge = GaugeMetricFamily(name, text, labels=_LABELS)
            gauge.add_metric(labels, value)
            yield gauge
        yield GaugeMetricFamily(
            "loadgen_cpu_ratio", "CPU of the busiest sender; 1 is a core.", value=progress.client_cpu
        )

    def _histograms(self, labels: tuple[str, str]) -> Iterator[Metric]:
        totals = self._totals
        duration = HistogramMetricFamily(
            "loadgen_request_duration_seconds",
            "Service of right answers from when they were sent; response of all requests from when they were due, "
            "above every edge without a right answer.",
            labels=(*_LABELS, "kind"),
        )
        duration.add_metric((*labels, "response"), totals.response.cumulative(), totals.response.sum)
        duration.add_metric((*labels, "service"), totals.service.cumulative(), totals.service.sum)
        lag = HistogramMetricFamily("loadgen_schedule_lag_seconds", "From due to sent.", labels=_LABELS)
        lag.add_metric(labels, totals.lag.cumulative(), totals.lag.sum)
        yield from (duration, lag)

    def _counters(self, labels: tuple[str, str]) -> Iterator[Metric]:
        requests = CounterMetricFamily("loadgen_requests", "Requests by how they ended.", labels=(*_LABELS, "code"))
        dropped = CounterMetricFamily("loadgen_dropped", "Requests that were never sent.", labels=_LABELS)
        for name, count in zip(OUTCOMES, self._totals.outcomes.tolist(), strict=True):
            if name == DROPPED:
                dropped.add_metric(labels, count)
            else:
                requests.add_metric((*labels, name), count)
        yield from (requests, dropped)
