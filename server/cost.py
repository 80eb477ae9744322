"""What a batch costs: measured for many sizes at warm-up, and kept current while serving."""

from __future__ import annotations

from itertools import pairwise

# Larger batches must be this much cheaper per row before they are worth their latency.
_WORTHWHILE = 1.03
# Weight of one execution in the running level: some fifty executions make a new level.
_WEIGHT = 0.05
# One execution moves the level by at most what this factor allows: a stall is not a trend.
_OUTLIER = 2.0
# Where warm-up taught nothing, the fastest of a size's first executions counts: the very first ones prepare things.
_FIRST = 8


class CostModel:
    """Seconds that one execution of n rows takes, for n = 1..`max_rows`.

    The *shape* of the curve belongs to the model and the machine and is measured once, at warm-up. Its *level* follows
    what executions take now, since neighbours and clock speeds come and go. Keeping the two apart means that sizes
    which are seldom used never go stale, and that one stall cannot make a size look bad for ever.

    Of a model that warm-up taught nothing, as it takes no zeros, the curve is that of each size's first executions, and
    larger batches are taken to cost as much per row. They may grow to any size: which one is the cheapest nobody knows.

    Not synchronised: the batcher calls it under its own lock.
    """

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self._measured: dict[int, float] = {}
        self._seen: dict[int, list[float]] = {}
        self._base = [0.0] * (max_rows + 1)  # the curve: what was measured, and what lies between
        self._level = 1.0
        self._cheapest_rows: int | None = max_rows  # None where the curve has changed since it was last looked for

    def learn(self, rows: int, seconds: float) -> None:
        """Take a warm-up execution into the curve: the fastest one of each size counts.

        Between two sizes that were measured the curve is a straight line.
        """
        self._measured[rows] = min(self._measured.get(rows) or seconds, seconds)
        self._base[rows] = self._measured[rows]
        below = max((other for other in self._measured if other < rows), default=rows)
        above = min((other for other in self._measured if other > rows), default=rows)
        self._interpolate(below, rows)
        self._interpolate(rows, above)
        self._cheapest_rows = None

    def _interpolate(self, low: int, high: int) -> None:
        step = (self._base[high] - self._base[low]) / max(1, high - low)
        for rows in range(low + 1, high):
            self._base[rows] = self._base[low] + step * (rows - low)

    def observe(self, rows: int, seconds: float) -> None:
        """Take an execution that served requests into the level; or into the curve, where warm-up has made none."""
        if not self._measured and len(self._seen.setdefault(rows, [])) < _FIRST:
            self._seen[rows].append(seconds)
            self._draw()
            return
        expected = self._base[rows] * self._level
        if expected > 0:
            ratio = min(max(seconds / expected, 1 / _OUTLIER), _OUTLIER)
            self._level *= 1 + _WEIGHT * (ratio - 1)

    def _draw(self) -> None:
        """Draw the curve from the executions that were seen."""
        fastest = {0: 0.0} | {rows: min(seconds) for rows, seconds in sorted(self._seen.items())}
        largest = max(fastest)
        fastest[self.max_rows] = fastest[largest] / largest * self.max_rows
        for low, high in pairwise(fastest):
            self._base[high] = fastest[high]
            self._interpolate(low, high)

    def seconds(self, rows: int) -> float:
        """Expected duration of one execution of `rows` rows; 0 where nothing near it was measured."""
        return self._base[rows] * self._level

    @property
    def cheapest_rows(self) -> int:
        """The smallest batch that costs as little per row as any, or hardly more."""
        if self._cheapest_rows is None:
            self._cheapest_rows = self._cheapest()
        return self._cheapest_rows

    @property
    def seconds_per_row(self) -> float:
        """Expected duration of one row in the cheapest batch."""
        return self.seconds(self.cheapest_rows) / self.cheapest_rows

    def _cheapest(self) -> int:
        per_row = {rows: seconds / rows for rows, seconds in enumerate(self._base) if seconds > 0}
        if not per_row:
            return len(self._base) - 1  # too fast for the clock
        best = min(per_row.values())
        return next(rows for rows, seconds in per_row.items() if seconds <= best * _WORTHWHILE)
