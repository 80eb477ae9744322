"""`grpc_server_*`: the gRPC ecosystem's metrics, for every method of every service, and refusals by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from prometheus_client import Counter, Histogram

from server.histogram import LATENCY_EDGES

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_METHOD = ("grpc_type", "grpc_service", "grpc_method")
REASONS = (
    *("invalid", "invalid_image", "not_found", "unsupported", "unavailable", "not_ready", "queue_full"),
    *("queue_timeout", "shutdown", "deadline", "cancelled", "model", "internal"),
)


class RpcMetrics:
    """The families in one registry; `observe` is the factory that the services take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter("grpc_server_started", "RPCs started.", _METHOD, registry=registry)
        self._handled = Counter("grpc_server_handled", "RPCs completed.", (*_METHOD, "grpc_code"), registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Time of RPCs.", _METHOD, registry=registry, buckets=LATENCY_EDGES
        )
        self._refused = Counter(
            "coordserve_rejected", "Requests, or images of requests, that failed.", ("reason",), registry=registry
        )
        for reason in REASONS:
            self._refused.labels(reason)

    def observe(self, rpc_type: str, service: str, method: str) -> MethodMetrics:
        """The metrics of one method, each series present from the start."""
        labels = (rpc_type, service, method)
        return MethodMetrics(
            self._started.labels(*labels),
            {code: self._handled.labels(*labels, code.name) for code in grpc.StatusCode},
            self._seconds.labels(*labels),
            self._refused,
        )


class MethodMetrics:
    """An `RpcObserver` of one method; its series are looked up once, since a look-up costs more than a count."""

    def __init__(
        self, started: Counter, handled: dict[grpc.StatusCode, Counter], seconds: Histogram, refused: Counter
    ) -> None:
        self.started = started.inc
        self._handled = {code: counter.inc for code, counter in handled.items()}
        self._observe = seconds.observe
        self._refused = refused

    def finished(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call has ended."""
        self._handled[code]()
        self._observe(seconds)

    def refused(self, reason: str) -> None:
        """A call, or an image of a call, has failed."""
        self._refused.labels(reason).inc()
