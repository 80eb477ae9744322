"""Percentiles that were seen, each with the interval in which the true one lies, or none when too few requests tell.

Nothing is assumed about how latencies are distributed: the order statistics around a percentile bound it (David and
Nagaraja, Order Statistics, 3rd edition, section 7.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import bdtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_LEAST_BEYOND = 10  # requests that must be expected beyond a percentile before it is told
_INTERVAL_CONFIDENCE = 0.95

Percentiles: TypeAlias = "dict[str, float | None]"
"""p50 to p999 and max; None for one that never came (infinite), or that too few requests tell."""


def quantile(ascending: NDArray[np.float64], q: float) -> float:
    """The smallest of `ascending` [N > 0] that at least a share of `q` does not exceed: a value that was seen."""
    return float(ascending[min(max(rank(len(ascending), q), 1), len(ascending)) - 1])


def rank(count: int, q: float) -> int:
    """The position, from 1, of the `q` quantile among `count` sorted values: ceil(count * q)."""
    return int(np.ceil(count * q - 1e-9))


def tells(count: int, q: float) -> bool:
    """Whether `count` values are enough to speak of their `q` quantile."""
    return count * (1 - q) >= _LEAST_BEYOND - 1e-9


def interval_ranks(count: int, q: float, confidence: float = _INTERVAL_CONFIDENCE) -> tuple[int, int]:
    """Positions, from 1, of the two values that enclose the true `q` quantile with `confidence`.

    0 or `count` + 1 where the sample has no value beyond which it lies with that confidence.
    """
    ranks = np.arange(count + 1)
    below = bdtr(ranks, count, q)  # P(at most so many values lie below the true quantile)
    tail = (1 - confidence) / 2
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return lower, upper


def interval(ascending: NDArray[np.float64], q: float, confidence: float = _INTERVAL_CONFIDENCE) -> tuple[float, float]:
    """The two values of `ascending` [N > 0] between which the true `q` quantile lies with `confidence`."""
    lower, upper = interval_ranks(len(ascending), q, confidence)
    low = float(ascending[lower - 1]) if lower >= 1 else 0.0
    return low, float(ascending[upper - 1]) if upper <= len(ascending) else float("inf")


def percentiles_ms(seconds: NDArray[np.float64]) -> Percentiles:
    """p50 to p999 and max of `seconds` [N], in milliseconds."""
    ascending = np.sort(seconds)
    found = {name: quantile(ascending, q) for name, q in QUANTILES.items() if tells(len(ascending), q)}
    if len(ascending):
        found["max"] = float(ascending[-1])
    return {name: _milliseconds(found.get(name)) for name in (*QUANTILES, "max")}


def intervals_ms(seconds: NDArray[np.float64]) -> dict[str, tuple[float | None, float | None]]:
    """The 95 % interval of each percentile that `percentiles_ms` tells, in milliseconds."""
    ascending = np.sort(seconds)
    return {
        name: (_milliseconds(low), _milliseconds(high))
        for name, q in QUANTILES.items()
        if tells(len(ascending), q)
        for low, high in [interval(ascending, q)]
    }


def _milliseconds(seconds: float | None) -> float | None:
    return seconds * 1e3 if seconds is not None and np.isfinite(seconds) else None
