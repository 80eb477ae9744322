from __future__ import annotations

import numpy as np
import pytest

from loadtest.early_stopping import Decision, decide, requests_needed


@pytest.mark.parametrize(
    ("quantile", "needed"),
    [
        (0.90, [44, 64, 127, 197, 325, 681, 1246]),
        (0.95, [90, 130, 259, 398, 656, 1372, 2504]),
        (0.99, [459, 662, 1307, 2010, 3304, 6898, 12571]),
        (0.999, [4603, 6636, 13105, 20140, 33097, 69058, 125826]),
    ],
)
def test_as_many_requests_are_needed_as_mlperf_says(quantile: float, needed: list[int]) -> None:
    """The least numbers of requests are those of MLPerf's early stopping, for 99 % confidence."""
    assert [requests_needed(misses, quantile) for misses in (0, 1, 5, 10, 20, 50, 100)] == needed


@pytest.mark.parametrize(
    ("requests", "misses", "decision"),
    [
        (458, 0, Decision.OPEN),
        (459, 0, Decision.MET),
        (459, 1, Decision.OPEN),
        (1000, 10, Decision.OPEN),
        (1000, 30, Decision.MISSED),
        (0, 0, Decision.OPEN),
        (5, 5, Decision.MISSED),
    ],
)
def test_a_decision_waits_for_evidence(requests: int, misses: int, decision: Decision) -> None:
    """What few requests could show by chance stays open."""
    assert decide(requests, misses, 0.99) is decision


def test_wrong_decisions_are_rare() -> None:
    """Where exactly one in a hundred is over the objective, neither verdict comes more often than its error allows."""
    misses = np.random.default_rng(0).binomial(2000, 0.01, 5000)
    decisions = [decide(2000, int(each), 0.99) for each in misses]

    assert decisions.count(Decision.MET) <= 0.015 * 5000
    assert decisions.count(Decision.MISSED) <= 0.015 * 5000
