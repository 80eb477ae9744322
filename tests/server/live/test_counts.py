from __future__ import annotations

from typing import Any

import pytest

from server.instance import Execution, Reply
from server.live.counts import Counts
from server.statistics import ModelStatistics

MS = 1_000_000


def reply(queue_ms: int, compute_ms: int) -> Reply[Any]:
    """An answer that arrived at 0, and when its parts ended."""
    started = queue_ms * MS
    finished = started + compute_ms * MS
    return Reply(None, 0, 2, Execution([None], started, started, finished, finished))


def statistics() -> ModelStatistics:
    """One answer: 5 ms decoding, 10 ms in the queue, 20 ms compute and 2 ms of the rest; two rejections."""
    counted = ModelStatistics()
    counted.decoded(5 * MS)
    answer = reply(10, 20)
    counted.executed(2, answer.execution)
    counted.succeeded(1, answer, 37 * MS)
    counted.failed("REJECTED", MS)
    counted.failed("REJECTED", MS)
    return counted


def test_time_goes_to_stages() -> None:
    """The parts of an answer add up to its duration."""
    stages = Counts.of(statistics()).mean_stages()
    assert stages == pytest.approx({"decode": 0.005, "queue": 0.01, "compute": 0.02, "rest": 0.002})


def test_what_has_happened_is_the_difference() -> None:
    """Between two readings only what came meanwhile counts."""
    counted = statistics()
    before = Counts.of(counted)
    counted.succeeded(1, reply(0, 100), 101 * MS)
    counted.failed("BACKEND", MS)
    between = Counts.of(counted) - before
    assert (between.succeeded, dict(between.failures)) == (1, {"BACKEND": 1})
    found = between.quantile(0.5)
    assert found is not None
    assert (found.low, found.high) == (0.1, 0.15)
    assert between.share_above(0.1) == 1


def test_steps_of_ensembles_can_be_taken_off() -> None:
    """What an ensemble asked for is among the answers, with its time."""
    counted = statistics()
    counted.succeeded(1, reply(0, 100), 101 * MS)
    counted.was_step(reply(0, 100), 101 * MS)
    asked = Counts.of(counted) - Counts.of_steps(counted)
    assert asked.succeeded == 1
    assert asked.mean_stages() == pytest.approx({"decode": 0.005, "queue": 0.01, "compute": 0.02, "rest": 0.002})


def test_sums_and_nothing() -> None:
    """Models are added up; where nothing happened nothing is told."""
    one = Counts.of(statistics())
    both = one + one
    assert (both.succeeded, both.failures["REJECTED"], both.mean_batch) == (2, 4, 2.0)
    nothing = one - one
    assert (nothing.succeeded, nothing.mean_batch, nothing.mean_stages(), nothing.quantile(0.5)) == (0, None, {}, None)
