"""How sure a percentile is: requests that are neighbours in a queue wait alike, and tell less than their number.

How much a share of requests varies is seen from blocks of neighbours: the variance of the moving block bootstrap (H. R.
Künsch, The Jackknife and the Bootstrap for General Stationary Observations, Annals of Statistics 17, 1989), which has a
closed form for a share, so that nothing need be drawn. It says how many independent requests would tell as much, fewer
still where blocks are few (E. L. Korn and B. I. Graubard, Confidence Intervals for Proportions, Survey Methodology 24,
1998), and the order statistics around a percentile of so many bound it (David and Nagaraja, Order Statistics, 3rd
edition, section 7.1). Nothing is assumed about how latencies are distributed. Percentiles of bootstrapped samples would
be far too sure of a tail: where few spells of waiting reach it, no sample drawn from them goes beyond.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, stdtrit

from loadtest.percentiles import QUANTILES, milliseconds_or_none, rank, tells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CONFIDENCE = 0.95
_FEWEST_BLOCKS = 4
_LENGTHENED = 2.0  # the rule finds blocks of half the length that a busy queue needs
_INSIGNIFICANT = 5  # lags in a row at which neighbours are no longer alike


def intervals_ms(*series: NDArray[np.float64]) -> dict[str, tuple[float | None, float | None]]:
    """As `intervals`, in milliseconds; None for an end that is infinite."""
    return {
        name: (milliseconds_or_none(low), milliseconds_or_none(high))
        for name, (low, high) in intervals(*series).items()
    }


def intervals(*series: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Of each percentile that enough requests tell the two values between which the true one lies with 95 % confidence.

    Args:
        series: Runs of one load, each in the order in which requests were due, in seconds.

    Returns:
        Values that were seen; 0 or infinity where the runs have none beyond which it lies with that confidence.
    """
    ascending = np.sort(np.concatenate(series))
    told = {name: q for name, q in QUANTILES.items() if tells(len(ascending), q)}
    if not told:
        return {}
    length = max(block_length(each, ascending) for each in series)
    lows, highs = zip(*(_interval(series, ascending, q, length) for q in told.values()), strict=True)
    # A higher percentile is not known to be lower than a lower one may be.
    return {name: (min(lows[place:]), max(highs[: place + 1])) for place, name in enumerate(told)}


def interval_ranks(count: int, q: float) -> tuple[int, int]:
    """Positions, from 1, of the two of `count` independent values that enclose the true `q` quantile.

    0 or `count` + 1 where there is no value beyond which it lies with that confidence.
    """

    def below(values: int) -> float:
        """The probability that at most so many lie below the true quantile."""
        return float(bdtr(values, count, q))

    ranks, tail = range(count + 1), (1 - _CONFIDENCE) / 2
    return bisect_right(ranks, tail, key=below), bisect_left(ranks, 1 - tail, key=below) + 1


def _interval(
    series: Sequence[NDArray[np.float64]], ascending: NDArray[np.float64], q: float, length: int
) -> tuple[float, float]:
    count = len(ascending)
    independent = _independent_requests(series, float(ascending[rank(count, q) - 1]), float(ascending[-1]), length)
    lower, upper = interval_ranks(independent, q)
    first = math.floor(lower * count / independent)
    last = math.ceil(upper * count / independent)
    low = float(ascending[first - 1]) if lower >= 1 else 0.0
    return low, float(ascending[last - 1]) if upper <= independent else math.inf


def _independent_requests(series: Sequence[NDArray[np.float64]], value: float, most: float, length: int) -> int:
    """How many independent requests tell as much of the share that is not above `value`; `most` is the highest."""
    # Where all that is beyond is alike, as what never came, only what is before it can differ.
    below = [each < value if value == most else each <= value for each in series]
    count = sum(map(len, below))
    share = sum(int(each.sum()) for each in below) / count
    apart = [np.asarray(each - share, np.float64) for each in below if len(each)]
    blocks = [_sums(each, min(length, len(each))) for each in apart]
    variance = float(np.mean(np.concatenate([sums**2 / width for sums, width in blocks])))
    if variance <= 0:
        return count
    usual, few = (float(stdtrit(df, 0.5 + _CONFIDENCE / 2)) for df in (math.inf, max(1.0, count / length - 1)))
    independent = min(1.0, share * (1 - share) / variance) * count * (usual / few) ** 2
    return max(1, int(independent))


def _sums(values: NDArray[np.float64], width: int) -> tuple[NDArray[np.float64], int]:
    """The sum of each `width` neighbours, [N - width + 1]."""
    cumulated = np.concatenate([[0.0], np.cumsum(values)])
    return cumulated[width:] - cumulated[:-width], width


def block_length(values: NDArray[np.float64], ascending: NDArray[np.float64]) -> int:
    """Neighbours in a block: enough for two blocks to be about independent of each other.

    D. N. Politis and H. White, Automatic Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23,
    2004, section 3; of ranks in place of values, as some are infinite.

    Args:
        values: [N], in their order.
        ascending: All values, of which these are some or all.
    """
    count = len(values)
    longest = count // _FEWEST_BLOCKS
    ranks = np.searchsorted(ascending, values, "left") + np.searchsorted(ascending, values, "right")
    if longest <= 1 or ranks.min() == ranks.max():
        return 1
    alike = _autocovariance(ranks / len(ascending))
    lags = np.arange(_bandwidth(alike) + 1)
    taper = np.minimum(1.0, 2 * (1 - lags / lags[-1]))
    both_sides = np.where(lags == 0, 1, 2) * taper * alike[lags]
    spectrum, slope = float(both_sides.sum()), float((lags * both_sides).sum())
    if spectrum <= 0:
        return longest
    best: float = (1.5 * (slope / spectrum) ** 2 * count) ** (1 / 3)
    return min(longest, max(1, math.ceil(_LENGTHENED * best)))


def _bandwidth(alike: NDArray[np.float64]) -> int:
    """Twice the lag from which on neighbours are no longer alike."""
    count = len(alike)
    far = math.ceil(math.sqrt(count)) + _INSIGNIFICANT
    noise = 2 * math.sqrt(math.log10(count) / count) * alike[0]
    small = np.cumsum(np.concatenate([[0], np.abs(alike[1 : far + 1]) < noise]))
    found = np.flatnonzero(small[_INSIGNIFICANT:] - small[:-_INSIGNIFICANT] == _INSIGNIFICANT)
    last_alike = int(found[0]) if len(found) else far
    return min(2 * max(1, last_alike), count - 1)


def _autocovariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N], by lag."""
    count = len(values)
    transformed = np.fft.rfft(values - values.mean(), 2 * count)
    covariance: NDArray[np.float64] = np.fft.irfft(np.abs(transformed) ** 2, 2 * count)[:count] / count
    return covariance
