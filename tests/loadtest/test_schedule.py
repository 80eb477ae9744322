from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.schedule import SCHEDULES, burst, mean_rate, phases, poisson, replay

RATES = st.floats(0.5, 500)
SECONDS = st.floats(0.1, 20)


@pytest.mark.parametrize("name", SCHEDULES)
@given(rate=RATES, seconds=SECONDS, seed=st.integers(0, 1000))
def test_every_schedule_ascends_within_its_duration(name: str, rate: float, seconds: float, seed: int) -> None:
    """Whatever is asked for, arrivals ascend, start at 0 at the earliest and lie before the end."""
    due = SCHEDULES[name](rate, seconds, seed)

    assert (np.diff(due) >= 0).all()
    assert ((due >= 0) & (due < seconds)).all()


@pytest.mark.parametrize(
    ("name", "share"), [("poisson", 1), ("constant", 1), ("burst", 1), ("step", 0.6), ("ramp", 0.5)]
)
def test_a_schedule_has_its_rate(name: str, share: float) -> None:
    """The number of arrivals is what the rate gives: on average all of it, three fifths for steps, half for a ramp."""
    expected = 100 * 200 * share

    assert mean_rate(name, 100) == pytest.approx(100 * share)
    assert len(SCHEDULES[name](100, 200, 7)) == pytest.approx(expected, abs=4 * expected**0.5)


def test_bursts_are_four_times_the_mean() -> None:
    """A fifth of each ten seconds has four fifths of the arrivals."""
    phase = burst(200, 200, seed=1) % 10

    assert ((phase >= 4) & (phase < 6)).mean() == pytest.approx(0.8, abs=0.02)


@given(rates=st.lists(st.floats(0, 100), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_each_phase_has_its_own_rate(rates: list[float], seed: int) -> None:
    """Arrivals lie in the phases as their rates say, and none in a phase without any."""
    due = phases(rates, [10.0] * len(rates), seed)

    counts = np.histogram(due, bins=10.0 * np.arange(len(rates) + 1))[0]
    expected = 10 * np.array(rates)
    assert (np.abs(counts - expected) <= 7 * np.sqrt(expected + 1)).all()
    assert (np.diff(due) >= 0).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30, unique=True))
def test_a_replay_keeps_the_gaps(instants: list[float]) -> None:
    """Arrivals are replayed from zero on, in order, with the gaps that they had."""
    due = replay(instants)

    assert due[0] == 0
    np.testing.assert_allclose(np.diff(due), np.diff(np.sort(instants)), atol=1e-6)


def test_a_replay_can_have_another_rate() -> None:
    """At twice the rate every gap is half as long."""
    np.testing.assert_allclose(replay([5.0, 6.0, 9.0], rate=1.0), [0, 0.5, 2])


@pytest.mark.parametrize("instants", [[3.0], [3.0, 3.0]])
@pytest.mark.parametrize("rate", [None, 5.0])
def test_one_instant_is_no_replay(instants: list[float], rate: float | None) -> None:
    """Arrivals without any time between them have no rate, which a run needs."""
    with pytest.raises(ValueError, match="all at one instant"):
        replay(instants, rate)


@pytest.mark.parametrize("instants", [[], [1.0, float("nan")]])
def test_what_is_no_schedule_is_told(instants: list[float]) -> None:
    """Nothing, and what is no number, cannot be replayed."""
    with pytest.raises(ValueError, match="instants"):
        replay(instants)


@given(seed=st.integers(0, 1000))
def test_a_seed_decides_the_arrivals(seed: int) -> None:
    """The same seed gives the same arrivals, another one gives others."""
    np.testing.assert_array_equal(poisson(50, 10, seed), poisson(50, 10, seed))
    assert not np.array_equal(poisson(50, 10, seed), poisson(50, 10, seed + 1))


def test_poisson_gaps_are_exponential() -> None:
    """Mean and deviation of the gaps both equal 1/rate, as for independent callers."""
    gaps = np.diff(poisson(200, 500, seed=1))

    assert gaps.mean() == pytest.approx(1 / 200, rel=0.02)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.02)
