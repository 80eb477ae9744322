"""What the rules compare with: how memory has moved, and what each model used to take."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.live.reading import Activity
    from server.statistics import ModelStatistics

# What is usual is told by what is older than this.
_RECENT_SECONDS = 30


class Past:
    """Remembers the last `seconds` seconds, which are told one by one; it forgets them when models come or go.

    Models take memory of their own, and how long one takes depends on those that work beside it.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._resident: deque[int] = deque(maxlen=seconds)
        self._compute: dict[ModelStatistics, deque[float]] = {}

    def add(self, second: Activity, resident_bytes: int) -> None:
        """Remember one second more."""
        if {model.statistics for model, _ in second.models} != self._compute.keys():
            self._resident.clear()
            self._compute = {model.statistics: deque(maxlen=self._seconds) for model, _ in second.models}
        self._resident.append(resident_bytes)
        for model, counts in second.models:
            if counts.succeeded:
                self._compute[model.statistics].append(counts.mean_stages()["compute"])

    @property
    def resident_bytes(self) -> Sequence[int]:
        """Memory at the end of each second."""
        return list(self._resident)

    def usual_compute_seconds(self) -> dict[ModelStatistics, float]:
        """What an answer's compute took before lately, of those models of which that is known."""
        before = {statistics: list(compute)[:-_RECENT_SECONDS] for statistics, compute in self._compute.items()}
        return {statistics: median(compute) for statistics, compute in before.items() if compute}
