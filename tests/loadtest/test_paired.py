from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadtest.paired import holm, ratio


def test_a_ratio_and_its_interval_are_those_of_the_paired_t_test() -> None:
    """The same numbers as SciPy's paired t test on the logarithms."""
    generator = np.random.default_rng(1)
    first = generator.lognormal(1.0, 0.3, 6)
    second = first * generator.lognormal(0.2, 0.1, 6)
    found = ratio(first.tolist(), second.tolist())

    expected = stats.ttest_rel(np.log(second), np.log(first))
    low, high = expected.confidence_interval(0.95)
    assert found
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((np.exp(low), np.exp(high)))
    assert found.ratio == pytest.approx(stats.gmean(second / first))


def test_one_round_tells_nothing() -> None:
    """Chance cannot be told from one pair."""
    assert ratio([1.0], [2.0]) is None
    assert ratio([], []) is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Over many series of rounds that share their disturbances, 95 % of the intervals hold the true ratio."""
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(1000):
        disturbed = generator.lognormal(0.0, 1.0, 5)
        found = ratio((disturbed * generator.lognormal(0, 0.1, 5)).tolist(), (disturbed * 1.3).tolist())
        assert found
        held += found.low <= 1.3 <= found.high
    assert 930 <= held <= 970


@given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=8), st.floats(0.1, 10))
def test_exchanging_the_two_turns_the_ratio_over(first: list[float], factor: float) -> None:
    """Neither side is favoured."""
    second = [factor * value * (1 + place / 10) for place, value in enumerate(first)]
    one, other = ratio(first, second), ratio(second, first)

    assert one
    assert other
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.low == pytest.approx(1 / other.high)


def test_many_comparisons_make_few_false_claims() -> None:
    """Where nothing differs, 1 of 20 series at most makes any claim, however much it compares."""
    generator = np.random.default_rng(3)
    wrong = sum(any(holm(generator.uniform(size=12).tolist())) for _ in range(2000))

    assert wrong <= 0.065 * 2000
    assert holm([0.001, 0.5, 0.012, 0.02]) == [True, False, True, True]
    assert holm([0.03, 0.04]) == [False, False]
