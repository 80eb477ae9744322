"""A latency histogram cheap enough to be kept for every request."""

from __future__ import annotations

from bisect import bisect_left

# Upper edges in seconds; the usual objectives of 15, 50, 100 and 200 ms are among them, so that shares are exact.
LATENCY_EDGES = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0),
)


class Histogram:
    """Counts between fixed edges, and the sum; the owner synchronises."""

    __slots__ = ("_counts", "_edges", "sum")

    def __init__(self, edges: tuple[float, ...] = LATENCY_EDGES) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, which belongs to the first edge that is not below it."""
        self._counts[bisect_left(self._edges, value)] += times
        self.sum += value * times

    def cumulative(self) -> list[tuple[str, int]]:
        """Pairs of an upper edge and the observations up to it, as Prometheus wants them; the last edge is +Inf."""
        total, pairs = 0, []
        for edge, count in zip((*map(str, self._edges), "+Inf"), self._counts, strict=True):
            total += count
            pairs.append((edge, total))
        return pairs
