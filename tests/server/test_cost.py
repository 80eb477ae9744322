from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cost import CostModel


def _learned(*seconds: float) -> CostModel:
    cost = CostModel(len(seconds))
    for rows, value in enumerate(seconds, start=1):
        cost.learn(rows, value)
    return cost


@pytest.mark.parametrize(
    ("seconds", "cheapest"),
    [
        ((1.0,), 1),
        ((1.0, 1.0, 1.0, 1.0), 4),  # all sizes cost alike
        ((1.0, 2.0, 3.0, 4.0), 1),  # nothing is gained by merging
        ((1.0, 1.5, 2.0, 3.0), 3),
        ((1.0, 1.96, 2.93), 1),  # a gain of two per cent is not worth the latency
        ((1.0, 1.9, 2.7, 3.58), 3),  # ... nor is the last one of a larger gain
    ],
)
def test_the_cheapest_size_is_the_smallest_that_is_worth_it(seconds: tuple[float, ...], cheapest: int) -> None:
    """Batches grow to the size that costs least per row, and no further for a gain that is hardly one."""
    assert _learned(*seconds).cheapest_rows == cheapest


def test_the_fastest_warm_up_counts() -> None:
    """A stall during warm-up does not make a size look dear."""
    cost = _learned(1.0, 8.0)
    cost.learn(2, 1.0)
    cost.learn(2, 4.0)
    assert cost.seconds(2) == 1.0
    assert cost.cheapest_rows == 2


def test_a_size_that_was_never_measured_costs_nothing() -> None:
    """Nothing is refused on a guess."""
    assert CostModel(4).seconds(3) == 0
    assert CostModel(4).seconds_per_row == 0


def test_what_warm_up_taught_nothing_of_is_learned_from_requests() -> None:
    """The fastest of a size's first executions counts, beyond the largest each row costs as much; batches may grow."""
    cost = CostModel(8)
    for rows, seconds in ((2, 8.0), (2, 2.0), (4, 3.0)):
        cost.observe(rows, seconds)
    assert [cost.seconds(rows) for rows in range(9)] == [0, 1, 2, 2.5, 3, 3.75, 4.5, 5.25, 6]
    assert cost.cheapest_rows == 8
    for _ in range(500):
        cost.observe(2, 4.0)
    assert cost.seconds(8) == pytest.approx(12.0, rel=0.05)


def test_a_clock_too_coarse_to_measure_is_no_error() -> None:
    """Executions that take no measurable time leave the largest batch the cheapest."""
    cost = _learned(0.0, 0.0)
    cost.observe(2, 0.0)
    assert cost.cheapest_rows == 2
    assert cost.seconds(2) == 0.0


def test_the_level_follows_what_executions_take_now() -> None:
    """When everything becomes slower, all sizes become dearer, also those that are not used."""
    cost = _learned(1.0, 1.5)
    for _ in range(500):
        cost.observe(2, 4.5)
    assert cost.seconds(2) == pytest.approx(4.5)
    assert cost.seconds(1) == pytest.approx(3.0)
    assert cost.seconds_per_row == pytest.approx(2.25)
    for _ in range(500):
        cost.observe(1, 1.0)
    assert cost.seconds(2) == pytest.approx(1.5)


def test_one_stall_is_not_a_trend() -> None:
    """A single execution, however long or short, moves the estimate by a few per cent."""
    for seconds in (1e6, 0.0):
        cost = _learned(1.0)
        cost.observe(1, seconds)
        assert cost.seconds(1) == pytest.approx(1.0, rel=0.06)


@given(
    base=st.lists(st.floats(0, 1e3), min_size=1, max_size=8),
    executions=st.lists(st.tuples(st.integers(1, 8), st.floats(0, 1e6)), max_size=50),
)
def test_estimates_stay_sane(base: list[float], executions: list[tuple[int, float]]) -> None:
    """No history of executions makes an estimate negative or infinite, or the cheapest size one that does not exist."""
    cost = _learned(*base)
    for rows, seconds in executions:
        cost.observe(min(rows, len(base)), seconds)
    assert 1 <= cost.cheapest_rows <= len(base)
    assert 0 <= cost.seconds_per_row < float("inf")
    assert all(0 <= cost.seconds(rows) < float("inf") for rows in range(1, len(base) + 1))
