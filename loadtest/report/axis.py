"""Axes: from values to places on paper, and where to write numbers along them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loadtest.report.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOGARITHMIC_FROM = 30.0  # times the smallest value: small ones would be flat on the ground
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a plot.

    Attributes:
        low: The value at its beginning.
        high: The value at its end, above `low`.
        logarithmic: Whether equal ratios have equal lengths; `low` is above 0 then.
        title: What is along it, with its unit.
        ticks: Values that are marked, and what is written there.
    """

    low: float
    high: float
    logarithmic: bool = False
    title: str = ""
    ticks: tuple[tuple[float, str], ...] = field(default=())

    def place(self, value: float) -> float:
        """Where a value is: 0 at the beginning, 1 at the end, and never beyond."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis(values: Iterable[float], title: str, *, from_zero: bool = True) -> Axis:
    """An axis that holds all finite `values`; logarithmic where small ones could not be told apart otherwise."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if 0 < low < high / _LOGARITHMIC_FROM:
        return _logarithmic(low, high, title)
    return linear(0.0 if from_zero else low, high, title)


def linear(low: float, high: float, title: str) -> Axis:
    """From `low` to the first round number that is not below `high`."""
    high = high if high > low else low + 1
    step = _round_step((high - low) / (_MOST_TICKS - 1))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    ticks = tuple((count * step, number(count * step)) for count in range(first, last + 1))
    return Axis(ticks[0][0], ticks[-1][0], title=title, ticks=ticks)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _logarithmic(low: float, high: float, title: str) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begin = max(mark for mark in marks if mark <= low)
    end = min((mark for mark in marks if mark >= high), default=high)
    inside = [mark for mark in marks if begin <= mark <= end]
    shown = inside if len(inside) <= _MOST_TICKS + 1 else [mark for mark in inside if math.log10(mark).is_integer()]
    return Axis(begin, end, logarithmic=True, title=title, ticks=tuple((mark, number(mark)) for mark in shown))
