from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from prometheus_client.parser import text_string_to_metric_families

from server.errors import ServingError
from server.histogram import LATENCY_EDGES
from server.metrics.exposition import TEXT
from server.rpc_metrics import REASONS, RpcMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

_LABELS = {"grpc_type": "unary", "grpc_service": "a.Service", "grpc_method": "Do"}


def _value(metrics: RpcMetrics, name: str, labels: dict[str, str]) -> float:
    """The one sample that has this name and these labels."""
    families = text_string_to_metric_families(TEXT.write(metrics.families()))
    [sample] = [each for family in families for each in family.samples if (each.name, each.labels) == (name, labels)]
    return sample.value


def _errors(error: type[ServingError]) -> Iterator[type[ServingError]]:
    yield error
    for derived in error.__subclasses__():
        yield from _errors(derived)


def test_each_reason_of_an_error_is_exported() -> None:
    """Every reason that an error can have has a series from the start, and there are no others."""
    assert {error.reason for error in _errors(ServingError)} == set(REASONS)
    assert len(set(REASONS)) == len(REASONS)
    assert {"internal", "invalid", "invalid_image", "queue_full", "deadline", "cancelled"} < set(REASONS)


def test_series_are_there_from_the_start() -> None:
    """A rate can be computed from the very first call, for every code and every reason."""
    metrics = RpcMetrics()
    metrics.observe("unary", "a.Service", "Do")
    assert _value(metrics, "grpc_server_started_total", _LABELS) == 0
    for code in grpc.StatusCode:
        assert _value(metrics, "grpc_server_handled_total", {**_LABELS, "grpc_code": code.name}) == 0
    for reason in REASONS:
        assert _value(metrics, "coordserve_rejected_total", {"reason": reason}) == 0


def test_calls_are_counted_and_timed() -> None:
    """A call counts when it starts, and with its code and duration when it ends."""
    metrics = RpcMetrics()
    method = metrics.observe("unary", "a.Service", "Do")
    method.started()
    method.started()
    method.finished(grpc.StatusCode.NOT_FOUND, 0.015)
    method.refused("not_found")
    assert _value(metrics, "grpc_server_started_total", _LABELS) == 2
    assert _value(metrics, "grpc_server_handled_total", {**_LABELS, "grpc_code": "NOT_FOUND"}) == 1
    assert _value(metrics, "grpc_server_handling_seconds_count", _LABELS) == 1
    assert _value(metrics, "grpc_server_handling_seconds_sum", _LABELS) == 0.015
    assert _value(metrics, "grpc_server_handling_seconds_bucket", {**_LABELS, "le": "0.01"}) == 0
    assert _value(metrics, "grpc_server_handling_seconds_bucket", {**_LABELS, "le": "0.015"}) == 1
    assert _value(metrics, "coordserve_rejected_total", {"reason": "not_found"}) == 1


def test_methods_do_not_share_series() -> None:
    """What one method does is not told of another, and the buckets are those of the models' histograms."""
    metrics = RpcMetrics()
    metrics.observe("unary", "a.Service", "Do").started()
    metrics.observe("unary", "a.Service", "Other")
    assert _value(metrics, "grpc_server_started_total", {**_LABELS, "grpc_method": "Other"}) == 0
    for edge in (*map(str, LATENCY_EDGES), "+Inf"):
        assert _value(metrics, "grpc_server_handling_seconds_bucket", {**_LABELS, "le": edge}) == 0
