"""Percentiles that were seen, or none when too few requests tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_LEAST_BEYOND = 10  # requests that must be expected beyond a percentile before it is told

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


def percentiles_ms(seconds: NDArray[np.float64]) -> Percentiles:
    """p50 to p999 and max of `seconds` [N], in milliseconds."""
    ascending = np.sort(seconds)
    found = {name: quantile(ascending, q) for name, q in QUANTILES.items() if tells(len(ascending), q)}
    if len(ascending):
        found["max"] = float(ascending[-1])
    return {name: milliseconds_or_none(found.get(name)) for name in (*QUANTILES, "max")}


def milliseconds_or_none(seconds: float | None) -> float | None:
    """For JSON, which has no infinity."""
    return seconds * 1e3 if seconds is not None and np.isfinite(seconds) else None
