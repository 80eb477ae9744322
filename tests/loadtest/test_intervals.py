"""Intervals of percentiles against queues whose percentiles theory knows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.intervals import interval_ranks, intervals, intervals_ms

_SAMPLES = 120
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def mm1(count: int, load: float, generator: np.random.Generator) -> np.ndarray:
    """Response times of `count` requests of an M/M/1 queue in its steady state, in service times (Lindley)."""
    before = 2000
    between = generator.exponential(1 / load, count + before)
    service = generator.exponential(1.0, count + before)
    free = np.concatenate([[0.0], np.cumsum(service[:-1] - between[1:])])
    return (free - np.minimum.accumulate(free) + service)[before:]


def covered(load: float, count: int) -> dict[str, float]:
    """In which share of samples each interval holds what theory gives: response times are exponential."""
    generator = np.random.default_rng(1)
    found = [intervals(mm1(count, load, generator)) for _ in range(_SAMPLES)]
    truths = {name: -math.log(1 - q) / (1 - load) for name, q in _QUANTILES.items()}
    return {
        name: float(np.mean([low <= truth <= high for low, high in (each[name] for each in found)]))
        for name, truth in truths.items()
    }


@pytest.mark.parametrize(("load", "count"), [(0.01, 3000), (0.3, 3000), (0.7, 6000)])
def test_an_interval_holds_the_true_percentile_of_a_queue(load: float, count: int) -> None:
    """About nine of ten or more do; as if requests were independent, it would be three of ten at 70 % load."""
    assert min(covered(load, count).values()) >= 0.87


def test_a_busy_queue_is_known_less_well_than_its_requests_are_many() -> None:
    """At 90 % load six thousand requests say little: intervals are wide or have no upper end, and seldom wrong."""
    assert min(covered(0.9, 6000).values()) >= 0.8


def test_as_if_requests_were_independent_most_intervals_would_be_wrong() -> None:
    """What the queue test would catch: order statistics alone hold the true percentile in fewer than half."""
    generator = np.random.default_rng(1)
    lower, upper = interval_ranks(6000, 0.99)
    samples = [np.sort(mm1(6000, 0.7, generator)) for _ in range(_SAMPLES)]
    truth = -math.log(0.01) / 0.3

    assert np.mean([each[lower - 1] <= truth <= each[upper - 1] for each in samples]) < 0.5


def test_independent_requests_count_in_full() -> None:
    """Without a queue the interval is that of as many independent values."""
    values = np.random.default_rng(2).exponential(1.0, 5000)
    lower, upper = interval_ranks(len(values), 0.9)
    low, high = intervals(values)["p90"]

    ascending = np.sort(values)
    assert high - low == pytest.approx(ascending[upper - 1] - ascending[lower - 1], rel=0.15)


def test_several_runs_tell_more_than_one() -> None:
    """Runs of the same load are one sample, in which no block is of two runs."""
    generator = np.random.default_rng(3)
    runs = [mm1(4000, 0.7, generator) for _ in range(4)]
    (low, high), (first_low, first_high) = intervals(*runs)["p90"], intervals(runs[0])["p90"]

    assert 0 < high - low < first_high - first_low


@pytest.mark.parametrize(("count", "q"), [(100, 0.5), (1000, 0.95), (3000, 0.99)])
def test_ranks_cover_the_true_quantile_of_independent_values(count: int, q: float) -> None:
    """Of many samples 95 % or a little more have the true quantile in their interval, whatever the distribution."""
    samples = np.sort(np.random.default_rng(0).uniform(size=(4000, count)), axis=1)
    lower, upper = interval_ranks(count, q)
    inside = (samples[:, lower - 1] <= q) & (samples[:, upper - 1] >= q)

    assert 0.94 <= inside.mean() <= 0.98


def test_an_interval_may_have_no_end() -> None:
    """A thousand values of a busy queue do not bound their p99 from above; what never came is no number in JSON."""
    assert intervals(mm1(1000, 0.95, np.random.default_rng(4)))["p99"][1] == math.inf
    seconds = np.concatenate([np.ones(950), np.full(50, np.inf)])
    assert intervals_ms(np.random.default_rng(0).permutation(seconds))["p95"] == (1000, None)


def test_one_stall_does_not_tell_how_often_there_are_some() -> None:
    """Two of a hundred requests that never came, all at once, may be one of ten thousand or many."""
    seconds = np.random.default_rng(0).exponential(1.0, 10_000)
    seconds[5000:5200] = math.inf
    low, high = intervals(seconds)["p99"]

    assert low < 10
    assert high == math.inf


@pytest.mark.parametrize("values", [[7.0] * 3000, [1.0, math.inf] * 10, [math.inf] * 50, np.arange(2000.0)])
def test_whatever_was_seen_has_intervals(values: list[float]) -> None:
    """Equal values, none that ever came, and ones that only rise: each percentile has ends in order, as they are."""
    found = list(intervals(np.array(values)).values())

    assert found
    assert all(low <= high for low, high in found)
    assert found == sorted(found)


def test_too_few_requests_have_none() -> None:
    """What is not told as a percentile has no interval."""
    assert intervals(np.arange(19.0)) == {}
    assert set(intervals(np.arange(20.0))) == {"p50"}
