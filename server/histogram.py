"""A latency histogram cheap enough to be kept for every request."""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import NamedTuple

# Upper edges in seconds; the usual objectives of 15, 50, 100 and 200 ms are among them, so that shares are exact.
LATENCY_EDGES = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)
# The same for parts of a request, of which some take microseconds.
STAGE_EDGES = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.5, 10.0),
)

# OpenMetrics allows no more characters in an exemplar's labels, names included.
_MOST_REQUEST_ID = 128 - len("request_id")


class Exemplar(NamedTuple):
    """One observation of a bucket, by which somebody can find out more; `finished` is Unix time in seconds."""

    request_id: str
    value: float
    finished: float


class Histogram:
    """Counts between fixed edges, the sum, and the last exemplar of each bucket; the owner synchronises.

    `counts` and `exemplars` have one place for each of `edges` and one more for what is above all of them.
    """

    __slots__ = ("counts", "edges", "exemplars", "sum")

    def __init__(self, edges: tuple[float, ...] = LATENCY_EDGES) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.exemplars: dict[int, Exemplar] = {}
        self.sum = 0.0

    def observe(self, value: float, times: int = 1, request_id: str = "") -> None:
        """Count `value`, which belongs to the first edge that is not below it."""
        bucket = bisect_left(self.edges, value)
        self.counts[bucket] += times
        self.sum += value * times
        if request_id:
            self.exemplars[bucket] = Exemplar(request_id[:_MOST_REQUEST_ID], value, time.time())

    def copy(self) -> Histogram:
        """As it is now."""
        copy = Histogram(self.edges)
        copy.counts, copy.exemplars, copy.sum = self.counts.copy(), self.exemplars.copy(), self.sum
        return copy
