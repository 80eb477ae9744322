"""Several rounds of one number: their median, and from where to where they go."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.report.numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence


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

    def text(self, sign: str = "") -> str:
        """The median, and the range in brackets where there are several; `sign` stands before the median."""
        middle = f"{sign}{number(self.median)}"
        return middle if len(self.values) == 1 else f"{middle} ({number(self.low)} to {number(self.high)})"


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
