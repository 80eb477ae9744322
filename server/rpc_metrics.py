"""`grpc_server_*`: the gRPC ecosystem's metrics, for every method of every service, and refusals by reason.

The event loop's thread alone counts, in plain numbers; Prometheus's families are made when somebody scrapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from server.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Metric

_METHOD = ("grpc_type", "grpc_service", "grpc_method")
REASONS = (
    *("invalid", "invalid_image", "not_found", "unsupported", "unavailable", "not_ready", "queue_full"),
    *("queue_timeout", "shutdown", "deadline", "cancelled", "model", "internal"),
)


class MethodMetrics:
    """An `RpcObserver` of one method; every code is there from the start."""

    def __init__(self, labels: tuple[str, str, str], refused: dict[str, int]) -> None:
        self.labels = labels
        self.started_count = 0
        self.handled = dict.fromkeys(grpc.StatusCode, 0)
        self.seconds = Histogram()
        self._refused = refused

    def started(self) -> None:
        """A call has come."""
        self.started_count += 1

    def finished(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call has ended."""
        self.handled[code] += 1
        self.seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """A call, or an image of a call, has failed."""
        self._refused[reason] += 1


class RpcMetrics(Collector):
    """The families of all methods in one registry; `observe` is the factory that the services take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: list[MethodMetrics] = []
        self._refused = dict.fromkeys(REASONS, 0)
        registry.register(self)

    def observe(self, rpc_type: str, service: str, method: str) -> MethodMetrics:
        """The metrics of one method."""
        metrics = MethodMetrics((rpc_type, service, method), self._refused)
        self._methods.append(metrics)
        return metrics

    def collect(self) -> Iterator[Metric]:
        """The families, as they stand."""
        started = CounterMetricFamily("grpc_server_started", "RPCs started.", labels=_METHOD)
        handled = CounterMetricFamily("grpc_server_handled", "RPCs completed.", labels=(*_METHOD, "grpc_code"))
        seconds = HistogramMetricFamily("grpc_server_handling_seconds", "Duration of RPCs.", labels=_METHOD)
        for method in self._methods:
            started.add_metric(method.labels, method.started_count)
            for code, count in method.handled.items():
                handled.add_metric((*method.labels, code.name), count)
            seconds.add_metric(method.labels, method.seconds.cumulative(), method.seconds.sum)
        refused = CounterMetricFamily(
            "coordserve_rejected", "Requests, or images of requests, that failed.", labels=("reason",)
        )
        for reason, count in self._refused.items():
            refused.add_metric((reason,), count)
        yield from (started, handled, seconds, refused)
