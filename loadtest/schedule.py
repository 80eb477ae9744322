"""When each request is to be sent: decided before the run, from a seed, so that two servers get the same arrivals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def poisson(rate: float, duration_seconds: float, seed: int) -> NDArray[np.float64]:
    """Arrivals of independent callers: exponential gaps of mean 1/`rate`; seconds since the start, ascending."""
    generator = np.random.default_rng(seed)
    expected = rate * duration_seconds
    count = int(expected + 10 * expected**0.5 + 10)  # more than a Poisson process gives in that time
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    return arrivals[arrivals < duration_seconds]


def constant(rate: float, duration_seconds: float, _seed: int) -> NDArray[np.float64]:
    """Evenly spaced arrivals; seconds since the start."""
    return np.arange(0, duration_seconds, 1 / rate)


SCHEDULES: dict[str, Callable[[float, float, int], NDArray[np.float64]]] = {"poisson": poisson, "constant": constant}
