from __future__ import annotations

import copy
import threading
import time

import pytest

from server.instance import Execution, Reply
from server.statistics import FAILURE_REASONS, Durations, ModelStatistics

_MS = 1_000_000


def _reply(arrived_ms: int = 0, rows: int = 3) -> Reply[str]:
    """Waited until 10 ms, then 1 ms for input, 20 for computing, 2 for output."""
    execution = Execution(["a"], 10 * _MS, 11 * _MS, 31 * _MS, 33 * _MS)
    return Reply("a", arrived_ms * _MS, rows, execution)


def test_a_model_that_has_done_nothing_has_done_nothing() -> None:
    """Everything begins at zero."""
    statistics = ModelStatistics()
    assert statistics.success == statistics.fail == Durations()
    assert Durations() == Durations(0, 0, 0, 0, 0, 0)
    assert (statistics.last_inference_ms, statistics.inference_count, statistics.execution_count) == (0, 0, 0)
    assert (statistics.batches, set(statistics.failures.values())) == ({}, {0})


def test_a_request_is_charged_the_whole_duration_of_its_batch() -> None:
    """Durations grow with every request that succeeded, by its own waiting and all of its batch's work."""
    statistics = ModelStatistics()
    statistics.succeeded(2, _reply(arrived_ms=4), 36 * _MS)
    statistics.succeeded(1, _reply(arrived_ms=9), 32 * _MS)
    total = statistics.success
    assert (total.count, statistics.inference_count) == (2, 3)
    assert total.request_ns == (36 + 32) * _MS
    assert total.queue_ns == (6 + 1) * _MS
    assert total.compute_input_ns == 2 * 1 * _MS
    assert total.compute_infer_ns == 2 * 20 * _MS
    assert total.compute_output_ns == 2 * 2 * _MS
    assert statistics.execution_count == 0


def test_executions_are_counted_by_their_rows() -> None:
    """A batch counts once, whoever was in it, under its size."""
    statistics = ModelStatistics()
    before_ms = time.time_ns() // _MS
    for rows in (3, 1, 3):
        statistics.executed(rows, _reply().execution)
    assert statistics.execution_count == 3
    assert {rows: batch.count for rows, batch in statistics.batches.items()} == {3: 2, 1: 1}
    assert statistics.batches[3].compute_infer_ns == 2 * 20 * _MS
    assert before_ms <= statistics.last_inference_ms <= time.time_ns() // _MS
    assert (statistics.inference_count, statistics.success.count) == (0, 0)


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_a_failure_counts_under_its_reason_alone(reason: str) -> None:
    """What failed adds to no duration but that of failures."""
    statistics = ModelStatistics()
    statistics.failed(reason, 5 * _MS)
    assert statistics.failures == dict.fromkeys(FAILURE_REASONS, 0) | {reason: 1}
    assert (statistics.fail.count, statistics.fail.request_ns) == (1, 5 * _MS)
    assert (statistics.success.count, statistics.inference_count) == (0, 0)


def test_histograms_tell_where_the_time_went() -> None:
    """The stages of each request that succeeded are in the histograms, in seconds; failures are apart."""
    statistics = ModelStatistics()
    statistics.decoded(5 * _MS)
    statistics.succeeded(1, _reply(arrived_ms=4), 41 * _MS, "good")
    statistics.failed("OTHER", 99 * _MS, "bad")
    expected = {
        statistics.decode_seconds: 0.005,
        statistics.queue_seconds: 0.006,
        statistics.compute_input_seconds: 0.001,
        statistics.compute_seconds: 0.02,
        statistics.compute_output_seconds: 0.002,
        statistics.request_seconds: 0.041,
        statistics.failed_seconds: 0.099,
    }
    for histogram, seconds in expected.items():
        assert histogram.sum == pytest.approx(seconds)
        assert sum(histogram.counts) == 1
    ends = (statistics.request_seconds, statistics.failed_seconds)
    assert [each.request_id for end in ends for each in end.exemplars.values()] == ["good", "bad"]


def test_what_was_accepted_is_in_flight_until_it_ends() -> None:
    """Each request that was accepted is one of three: in flight, a success, a failure."""
    statistics = ModelStatistics()
    for _ in range(3):
        statistics.accepted()
    assert statistics.in_flight == 3
    statistics.succeeded(1, _reply(), 1)
    statistics.failed("CANCELED", 1)
    assert (statistics.accepted_count, statistics.in_flight) == (3, 1)


def test_predictions_are_counted_by_class() -> None:
    """The likeliest class of each image and its probability; what is no number makes no mean unknowable."""
    statistics = ModelStatistics()
    for label, probability in (("cat", 0.5), ("cat", 0.96), ("", float("nan"))):
        statistics.predicted(label, probability)
    assert statistics.predictions == {"cat": 2, "": 1}
    assert statistics.confidence.sum == pytest.approx(1.46)
    assert sum(statistics.confidence.counts) == 2


def test_a_snapshot_is_of_one_instant() -> None:
    """Nothing that happens later is in it, and everything that happened before."""
    statistics = ModelStatistics()

    def happen() -> None:
        statistics.accepted()
        statistics.executed(2, _reply().execution)
        statistics.succeeded(2, _reply(), 40 * _MS, "a")
        statistics.was_step(_reply(), 40 * _MS)
        statistics.failed("OTHER", 1)
        statistics.decoded(1)
        statistics.predicted("cat", 0.5)

    happen()
    snapshot = statistics.snapshot()
    before = copy.deepcopy({name: value for name, value in vars(snapshot).items() if name != "lock"})
    happen()
    for name, value in before.items():
        now = getattr(snapshot, name)
        assert getattr(now, "counts", now) == getattr(value, "counts", value), name
        later = getattr(statistics, name)
        if name != "last_inference_ms":
            assert getattr(later, "counts", later) != getattr(value, "counts", value), name


def test_threads_that_write_at_once_lose_no_count() -> None:
    """Instances and the network count at the same time."""
    statistics = ModelStatistics()

    def count() -> None:
        for _ in range(500):
            statistics.executed(2, _reply().execution)
            statistics.accepted()
            statistics.succeeded(1, _reply(), 40 * _MS)
            statistics.failed("OTHER", 1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.execution_count == statistics.batches[2].count == 2000
    assert statistics.success.count == statistics.inference_count == statistics.accepted_count == 2000
    assert statistics.fail.count == statistics.failures["OTHER"] == 2000
