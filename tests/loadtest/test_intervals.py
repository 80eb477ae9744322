"""Intervals of percentiles against queues whose percentiles theory knows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.intervals import interval_ranks, intervals, intervals_ms

_SAMPLES = 150


def mm1(count: int, load: float, generator: np.random.Generator) -> np.ndarray:
    """Response times of `count` requests of an M/M/1 queue in its steady state, in service times (Lindley)."""
    before = 2000
    between = generator.exponential(1 / load, count + before)
    service = generator.exponential(1.0, count + before)
    free = np.concatenate([[0.0], np.cumsum(service[:-1] - between[1:])])
    return (free - np.minimum.accumulate(free) + service)[before:]


def covered(load: float, count: int, q: float) -> float:
    """In which share of samples the interval holds what theory gives: the response time is exponential."""
    generator = np.random.default_rng(1)
    truth = -math.log(1 - q) / (1 - load)
    found = [intervals([mm1(count, load, generator)], [q])[0] for _ in range(_SAMPLES)]
    return float(np.mean([low <= truth <= high for low, high in found]))


@pytest.mark.parametrize(
    ("load", "count", "q"),
    [(0.01, 3000, 0.99), (0.3, 3000, 0.5), (0.3, 3000, 0.99), (0.7, 3000, 0.5), (0.7, 6000, 0.9), (0.7, 6000, 0.99)],
)
def test_an_interval_holds_the_true_percentile_of_a_queue(load: float, count: int, q: float) -> None:
    """Nine of ten do at the least; as if requests were independent, it would be three of ten at 70 % load."""
    assert covered(load, count, q) >= 0.9


def test_a_busy_queue_is_known_less_well_than_its_requests_are_many() -> None:
    """At 90 % load six thousand requests say little: intervals are wide or have no upper end, and seldom wrong."""
    assert covered(0.9, 6000, 0.5) >= 0.85
    assert covered(0.9, 6000, 0.99) >= 0.8


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
    low, high = intervals([values], [0.9])[0]

    ascending = np.sort(values)
    assert high - low == pytest.approx(ascending[upper - 1] - ascending[lower - 1], rel=0.15)


def test_several_runs_tell_more_than_one() -> None:
    """Runs of the same load are one sample, in which no block is of two runs."""
    generator = np.random.default_rng(3)
    runs = [mm1(4000, 0.7, generator) for _ in range(4)]
    (low, high), (first_low, first_high) = intervals(runs, [0.9])[0], intervals(runs[:1], [0.9])[0]

    assert 0 < high - low < first_high - first_low


@pytest.mark.parametrize(("count", "q"), [(100, 0.5), (1000, 0.95), (3000, 0.99)])
def test_ranks_cover_the_true_quantile_of_independent_values(count: int, q: float) -> None:
    """Of many samples 95 % or a little more have the true quantile in their interval, whatever the distribution."""
    samples = np.sort(np.random.default_rng(0).uniform(size=(4000, count)), axis=1)
    lower, upper = interval_ranks(count, q)
    inside = (samples[:, lower - 1] <= q) & (samples[:, upper - 1] >= q)

    assert 0.94 <= inside.mean() <= 0.98


def test_an_interval_may_have_no_end() -> None:
    """Ten values do not bound their 99th percentile from above, and what never came is no number in JSON."""
    assert intervals([np.arange(1.0, 11.0)], [0.99])[0][1] == math.inf
    seconds = np.concatenate([np.ones(950), np.full(50, np.inf)])
    assert intervals_ms(np.random.default_rng(0).permutation(seconds))["p95"] == (1000, None)


@pytest.mark.parametrize("values", [[7.0], [7.0] * 3000, [1.0, math.inf], [math.inf] * 50])
def test_whatever_was_seen_has_an_interval(values: list[float]) -> None:
    """One value, equal ones, and none that ever came."""
    ((low, high),) = intervals([np.array(values)], [0.5])

    assert low <= high
