"""Several rounds of one number: their median, and from where to where it may be."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = 3  # that count, of a median
_DOUBT = 0.05  # that the interval does not hold the median


@dataclass(frozen=True, slots=True)
class Spread:
    """The rounds of one number.

    Attributes:
        values: Of each round; at least one.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, or the mean of both."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lower end of the median's 95 % interval; the least value where they are too few for one."""
        return sorted(self.values)[self._beyond]

    @property
    def high(self) -> float:
        """The upper end, likewise: one round that the machine spoilt does not move it."""
        return sorted(self.values)[-1 - self._beyond]

    @property
    def _beyond(self) -> int:
        """How many values are left out at either end.

        A value is above its distribution's median as often as a coin shows heads, whatever that distribution is.
        """
        count = len(self.values)
        doubt, beyond = 2 * 0.5**count, 0
        while (doubt := doubt + 2 * math.comb(count, beyond + 1) * 0.5**count) <= _DOUBT:
            beyond += 1
        return beyond

    def middle(self, *, signed: bool = False) -> str:
        """The median with three digits that count; `signed` puts a + before it, too."""
        return self._written(self.median, signed=signed)

    def text(self, *, signed: bool = False) -> str:
        """The median, and where there are several rounds the interval in brackets, to as many decimals."""
        middle = self.middle(signed=signed)
        if len(self.values) == 1:
            return middle
        return f"{middle} ({self._written(self.low, signed=signed)} to {self._written(self.high, signed=signed)})"

    def _written(self, value: float, *, signed: bool) -> str:
        size = max(abs(self.median), 10.0 ** (1 - _DIGITS))
        decimals = max(0, _DIGITS - 1 - math.floor(math.log10(size)))
        return f"{value:{'+' if signed else ''},.{decimals}f}"


def spread(values: Sequence[float | None]) -> Spread | None:
    """The rounds that have a number; None where none has."""
    known = tuple(value for value in values if value is not None)
    return Spread(known) if known else None


def ratios(base: Sequence[float | None], other: Sequence[float | None]) -> Spread | None:
    """How many times `base` the other one is, in each round that has both."""
    return spread([b / a if a and b is not None else None for a, b in zip(base, other, strict=True)])


def differences(base: Sequence[float | None], other: Sequence[float | None]) -> Spread | None:
    """By how much the other one is more than `base`, in each round that has both."""
    pairs = zip(base, other, strict=True)
    return spread([b - a if a is not None and b is not None else None for a, b in pairs])
