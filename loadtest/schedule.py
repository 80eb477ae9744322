"""When each request is to be sent: decided before the run, from a seed, so that two servers get the same arrivals.

Every schedule is an array float64 [N] of instants in seconds since the start of the run, ascending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Schedule: TypeAlias = NDArray[np.float64]

BURST_PERIOD_SECONDS = 10.0
BURST_SHARE = 0.2  # of each period
BURST_FACTOR = 4.0  # times the mean rate; the rest of the period has a quarter of it, so that the mean is kept
STEPS = 5


def poisson(rate: float, seconds: float, seed: int) -> Schedule:
    """Arrivals of independent callers: exponential gaps of mean 1/`rate`, as in MLPerf's Server scenario."""
    generator = np.random.default_rng(seed)
    expected = rate * seconds
    count = int(expected + 10 * expected**0.5 + 10)  # more than a Poisson process gives in that time
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    return arrivals[arrivals < seconds]


def constant(rate: float, seconds: float, _seed: int = 0) -> Schedule:
    """Evenly spaced arrivals."""
    due = np.arange(int(np.ceil(rate * seconds))) / rate
    return due[due < seconds]


def phases(rates: Sequence[float], seconds: Sequence[float], seed: int) -> Schedule:
    """Poisson arrivals whose rate is another one in each phase; rates are per second and may be 0.

    A Poisson process of rate 1 whose time is stretched: an arrival at operational time s comes when the expected number
    of arrivals reaches s (Cinlar, Introduction to Stochastic Processes, chapter 4).
    """
    expected = np.concatenate([[0.0], np.cumsum(np.multiply(rates, seconds))])
    borders = np.concatenate([[0.0], np.cumsum(seconds)])
    arrivals = poisson(1.0, float(expected[-1]), seed)
    phase = np.searchsorted(expected, arrivals, side="right") - 1
    due: Schedule = borders[phase] + (arrivals - expected[phase]) / np.asarray(rates, np.float64)[phase]
    np.minimum(due, np.nextafter(borders[-1], 0), out=due)  # rounding must not carry one beyond the end
    return due


def burst(rate: float, seconds: float, seed: int) -> Schedule:
    """Poisson arrivals of mean `rate` that come in bursts: four times as many for a fifth of every ten seconds."""
    period = min(BURST_PERIOD_SECONDS, seconds)
    quiet = rate * (1 - BURST_FACTOR * BURST_SHARE) / (1 - BURST_SHARE)
    rates, lengths, left = [], [], seconds
    while left > 0:
        for phase_rate, share in ((quiet, (1 - BURST_SHARE) / 2), (rate * BURST_FACTOR, BURST_SHARE), (quiet, 0.4)):
            rates.append(phase_rate)
            lengths.append(max(0.0, min(left, share * period)))
            left -= share * period
    return phases(rates, lengths, seed)


def step(rate: float, seconds: float, seed: int) -> Schedule:
    """Poisson arrivals in five steps of equal length, from a fifth of `rate` up to it."""
    return phases([rate * number / STEPS for number in range(1, STEPS + 1)], [seconds / STEPS] * STEPS, seed)


def ramp(rate: float, seconds: float, seed: int) -> Schedule:
    """Poisson arrivals whose rate grows evenly from 0 to `rate`."""
    # The number that is expected until t is rate * t^2 / (2 * seconds).
    arrivals = poisson(1.0, rate * seconds / 2, seed)
    due = np.sqrt(2 * seconds * arrivals / rate)
    return np.minimum(due, np.nextafter(seconds, 0))


def replay(instants: Sequence[float], rate: float | None = None) -> Schedule:
    """The arrivals at `instants` (seconds, in any order and from any origin), at a mean `rate` if one is given.

    Raises:
        ValueError: There are no instants, one is not finite, or all are the same.
    """
    due = np.sort(np.asarray(instants, float))
    if not len(due) or not np.isfinite(due).all():
        raise ValueError("a replay needs instants, all of them numbers")
    due -= due[0]
    if not due[-1]:
        raise ValueError("arrivals that are all at one instant have no rate")
    if rate is not None:
        due *= (len(due) - 1) / due[-1] / rate
    return due


SCHEDULES: dict[str, Callable[[float, float, int], Schedule]] = {
    "poisson": poisson,
    "constant": constant,
    "burst": burst,
    "step": step,
    "ramp": ramp,
}
"""Schedules of a rate (requests a second), a length (seconds) and a seed."""
_MEAN_SHARES = {"step": (STEPS + 1) / (2 * STEPS), "ramp": 0.5}  # of the rate; the others have it as their mean


def mean_rate(name: str, rate: float) -> float:
    """Requests a second that a schedule of `rate` means on average, whatever its seed draws; `name` in SCHEDULES."""
    return rate * _MEAN_SHARES.get(name, 1.0)
