from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from prometheus_client import CollectorRegistry

from server.errors import ServingError
from server.histogram import LATENCY_EDGES
from server.rpc_metrics import REASONS, RpcMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABELS = {"grpc_type": "unary", "grpc_service": "a.Service", "grpc_method": "Do"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


def _errors(error: type[ServingError]) -> Iterator[type[ServingError]]:
    yield error
    for derived in error.__subclasses__():
        yield from _errors(derived)


def test_each_reason_of_an_error_is_exported() -> None:
    """Every class of errors has a reason of its own, with a series from the start."""
    reasons = [error.reason for error in _errors(ServingError)]
    assert sorted(reasons) == sorted(REASONS)
    assert len(set(reasons)) == len(reasons)


def test_series_are_there_from_the_start(registry: CollectorRegistry) -> None:
    """A rate can be computed from the very first call, for every code and every reason."""
    RpcMetrics(registry).observe("unary", "a.Service", "Do")
    assert registry.get_sample_value("grpc_server_started_total", _LABELS) == 0
    for code in grpc.StatusCode:
        assert registry.get_sample_value("grpc_server_handled_total", {**_LABELS, "grpc_code": code.name}) == 0
    for reason in REASONS:
        assert registry.get_sample_value("coordserve_rejected_total", {"reason": reason}) == 0


def test_calls_are_counted_and_timed(registry: CollectorRegistry) -> None:
    """A call counts when it starts, and with its code and duration when it ends."""
    method = RpcMetrics(registry).observe("unary", "a.Service", "Do")
    method.started()
    method.started()
    method.finished(grpc.StatusCode.NOT_FOUND, 0.015)
    method.refused("not_found")
    handled = {**_LABELS, "grpc_code": "NOT_FOUND"}
    assert registry.get_sample_value("grpc_server_started_total", _LABELS) == 2
    assert registry.get_sample_value("grpc_server_handled_total", handled) == 1
    assert registry.get_sample_value("grpc_server_handling_seconds_count", _LABELS) == 1
    assert registry.get_sample_value("grpc_server_handling_seconds_sum", _LABELS) == 0.015
    assert registry.get_sample_value("grpc_server_handling_seconds_bucket", {**_LABELS, "le": "0.01"}) == 0
    assert registry.get_sample_value("grpc_server_handling_seconds_bucket", {**_LABELS, "le": "0.015"}) == 1
    assert registry.get_sample_value("coordserve_rejected_total", {"reason": "not_found"}) == 1


def test_methods_do_not_share_series(registry: CollectorRegistry) -> None:
    """What one method does is not told of another, and the buckets are those of the models' histograms."""
    family = RpcMetrics(registry)
    family.observe("unary", "a.Service", "Do").started()
    family.observe("unary", "a.Service", "Other")
    assert registry.get_sample_value("grpc_server_started_total", {**_LABELS, "grpc_method": "Other"}) == 0
    edges = {
        float(sample.labels["le"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "grpc_server_handling_seconds_bucket"
    }
    assert edges == {*LATENCY_EDGES, float("inf")}
