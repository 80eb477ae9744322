"""Several rounds of one number: their median, and from where to where they go."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = 3  # that count, of a median


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
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)

    def middle(self, *, signed: bool = False) -> str:
        """The median with three digits that count; `signed` puts a + before it, too."""
        return self._written(self.median, signed=signed)

    def text(self, *, signed: bool = False) -> str:
        """The median, and where there are several rounds the range in brackets, to as many decimals."""
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
