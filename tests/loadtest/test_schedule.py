from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.schedule import SCHEDULES, poisson

RATES = st.floats(0.5, 500)
SECONDS = st.floats(0.1, 20)


@pytest.mark.parametrize("name", SCHEDULES)
@given(rate=RATES, seconds=SECONDS, seed=st.integers(0, 1000))
def test_every_schedule_ascends_within_its_duration(name: str, rate: float, seconds: float, seed: int) -> None:
    """Whatever is asked for, arrivals ascend, start at 0 at the earliest and lie before the end."""
    due = SCHEDULES[name](rate, seconds, seed)

    assert (np.diff(due) >= 0).all()
    assert ((due >= 0) & (due < seconds)).all()


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
