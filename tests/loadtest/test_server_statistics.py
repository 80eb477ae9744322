from __future__ import annotations

from typing import Any

from tritonclient.grpc import service_pb2

from loadtest.server_statistics import split


def statistics(requests: int, batches: dict[int, int]) -> list[Any]:
    """What a server tells of a model that answered so many requests, each after 3 ms of which it waited 1 ms."""
    message = service_pb2.ModelStatistics(name="m", version="1", execution_count=sum(batches.values()))
    message.inference_count = sum(size * count for size, count in batches.items())
    for stage, milliseconds in (("success", 3), ("queue", 1), ("compute_infer", 2)):
        duration = getattr(message.inference_stats, stage)
        duration.count, duration.ns = requests, requests * milliseconds * 1_000_000
    for size, count in batches.items():
        message.batch_stats.add(batch_size=size).compute_infer.count = count
    return [message]


def test_a_split_is_what_happened_in_between() -> None:
    """Counts are differences, times are means over the requests in between, and batches are counted by size."""
    found = split(statistics(100, {1: 100}), statistics(160, {1: 120, 4: 10}))

    assert found
    assert (found.requests, found.images, found.executions) == (60, 60, 30)
    assert (found.request_ms, found.queue_ms, found.compute_infer_ms) == (3, 1, 2)
    assert found.compute_input_ms is None
    assert found.batch_sizes == {1: 20, 4: 10}
    assert found.mean_batch == 2


def test_a_server_that_began_anew_has_done_nothing_negative() -> None:
    """Counters that went back, as a reload makes them, are no requests undone."""
    found = split(statistics(100, {1: 100}), statistics(10, {1: 10}))

    assert found
    assert found.requests == 0
    assert found.batch_sizes == {}


def test_without_statistics_there_is_no_split() -> None:
    """A server that tells nothing is not made to say zero."""
    assert split(None, statistics(1, {1: 1})) is None
