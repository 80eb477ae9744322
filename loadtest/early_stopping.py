"""How many requests it takes to say with confidence that a percentile meets its objective.

The rule of MLPerf's LoadGen (loadgen/early_stopping.cc and the appendix of the MLPerf inference rules): a run of n
requests with t over the objective shows that the p-quantile meets it, with confidence c, when so few would be rare if
it did not: P(Binomial(n, 1 - p) <= t) <= 1 - c.
"""

from __future__ import annotations

from enum import Enum

from scipy.special import bdtr, bdtrc

CONFIDENCE = 0.99


class Decision(Enum):
    """What a number of misses says about an objective."""

    MET = "met"
    MISSED = "missed"
    OPEN = "open"  # too few requests for either


def requests_needed(misses: int, quantile: float, confidence: float = CONFIDENCE) -> int:
    """The least n of which `misses` may be over the objective: 459 for p99 and none, 662 for one.

    Args:
        misses: At least 0.
        quantile: In (0, 1), for example 0.99.
        confidence: In (0, 1).
    """
    few, enough = misses, misses + 1
    while not _shows(enough, misses, quantile, confidence):
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _shows(middle, misses, quantile, confidence) else (middle, enough)
    return enough


def _shows(requests: int, misses: int, quantile: float, confidence: float) -> bool:
    return bool(bdtr(misses, requests, 1 - quantile) <= 1 - confidence)


def decide(requests: int, misses: int, quantile: float, confidence: float = CONFIDENCE) -> Decision:
    """Whether `misses` of `requests` show that the quantile meets its objective, or that it misses it.

    It is missed when that many misses would be rare if it were met: P(Binomial(n, 1 - p) >= misses) <= 1 - c.
    """
    if _shows(requests, misses, quantile, confidence):
        return Decision.MET
    rare = misses > 0 and bdtrc(misses - 1, requests, 1 - quantile) <= 1 - confidence
    return Decision.MISSED if rare else Decision.OPEN
