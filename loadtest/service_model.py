"""A queue whose percentiles theory knows: how long each request would take in a server that does nothing else."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which nothing is done, in seconds since the first request."""

    start: float
    seconds: float

    @property
    def end(self) -> float:
        """When work goes on."""
        return self.start + self.seconds


@dataclass(slots=True)
class ServiceModel:
    """First come, first served, by `servers` servers; work stands still while the model stalls.

    Attributes:
        draw: The service time of the next request, in seconds.
        servers: That work at the same time; at least 1.
        stalls: In order, none of which overlap.
        capacity: How many requests may be there, those that are served included; None for any number.
    """

    draw: Callable[[], float]
    servers: int = 1
    stalls: tuple[Stall, ...] = ()
    capacity: int | None = None
    _free: list[float] = field(init=False)
    _ends: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._free = [0.0] * self.servers

    def arrive(self, now: float) -> float | None:
        """When a request ends that arrives `now` (seconds since the first, never before the last); None if refused."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        if self.capacity is not None and len(self._ends) >= self.capacity:
            return None
        end = self._work(max(now, heapq.heappop(self._free)), self.draw())
        heapq.heappush(self._free, end)
        heapq.heappush(self._ends, end)
        return end

    def _work(self, start: float, seconds: float) -> float:
        """When work of so many seconds ends that begins at `start`."""
        end = start + seconds
        for stall in self.stalls:
            if stall.start <= end and start < stall.end:
                end += stall.end - max(start, stall.start)
        return end


def service_times(kind: str, mean_seconds: float, seed: int = 0) -> Callable[[], float]:
    """Draws `constant` or `exponential` service times of a mean.

    Raises:
        ValueError: There is no such distribution.
    """
    if kind == "constant":
        return lambda: mean_seconds
    if kind == "exponential":
        generator = np.random.default_rng(seed)
        return lambda: float(generator.exponential(mean_seconds))
    raise ValueError(f"service times are constant or exponential, not {kind!r}")
