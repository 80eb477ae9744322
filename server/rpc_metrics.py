"""`grpc_server_*`: the gRPC ecosystem's metrics, for every method of every service, and refusals by reason.

The event loop's thread alone counts, in plain numbers; families are made when somebody scrapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from server.errors import ServingError
from server.histogram import Histogram
from server.metrics.family import Family, label_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator


def _reasons(error: type[ServingError]) -> Iterator[str]:
    yield error.reason
    for derived in error.__subclasses__():
        yield from _reasons(derived)


REASONS = tuple(dict.fromkeys(_reasons(ServingError)))


class MethodMetrics:
    """An `RpcObserver` of one method; every code is there from the start."""

    def __init__(self, rpc_type: str, service: str, method: str, refused: dict[str, int]) -> None:
        self.labels = label_pairs(grpc_type=rpc_type, grpc_service=service, grpc_method=method)
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


class RpcMetrics:
    """The metrics of all methods; `observe` is the factory that the services take, `refused` counts by reason."""

    def __init__(self) -> None:
        self._methods: list[MethodMetrics] = []
        self.refused = dict.fromkeys(REASONS, 0)  # failures by reason

    def observe(self, rpc_type: str, service: str, method: str) -> MethodMetrics:
        """The metrics of one method."""
        metrics = MethodMetrics(rpc_type, service, method, self.refused)
        self._methods.append(metrics)
        return metrics

    def families(self) -> Iterator[Family]:
        """The families, as they stand."""
        started = Family("grpc_server_started_total", "counter", "RPCs started.")
        handled = Family("grpc_server_handled_total", "counter", "RPCs completed.")
        seconds = Family("grpc_server_handling_seconds", "histogram", "Duration of RPCs.")
        for method in self._methods:
            started.add(method.labels, method.started_count)
            for code, count in method.handled.items():
                handled.add(f'{method.labels},grpc_code="{code.name}"', count)
            seconds.add_histogram(method.labels, method.seconds)
        refused = Family("coordserve_rejected_total", "counter", "Requests, or images of requests, that failed.")
        for reason, count in self.refused.items():
            refused.add(f'reason="{reason}"', count)
        yield from (started, handled, seconds, refused)
