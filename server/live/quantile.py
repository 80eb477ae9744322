"""Quantiles from a histogram's buckets, with what is really known of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile lies somewhere from `low` to `high`, its bucket's edges; `value` is the interpolation between them."""

    value: float
    low: float
    high: float


def quantile(edges: Sequence[float], counts: Sequence[int], share: float) -> Quantile | None:
    """The value that `share` of the observations do not exceed; None without observations.

    `edges[i]` is the upper edge of bucket i; `counts` has one bucket more, for what is above all edges, where `high` is
    infinite and `value` the last edge. Within a bucket observations are taken to be spread evenly, as Prometheus's
    histogram_quantile does.
    """
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    below = next(index for index, reached in enumerate(accumulate(counts)) if counts[index] and reached >= rank)
    low = edges[below - 1] if below else 0.0
    if below == len(edges):
        return Quantile(low, low, math.inf)
    inside = (rank - sum(counts[:below])) / counts[below]
    return Quantile(low + (edges[below] - low) * inside, low, edges[below])


def share_above(edges: Sequence[float], counts: Sequence[int], limit: float) -> float:
    """The share of the observations above `limit`; where that is no edge, above the edge below it. 0 without any."""
    total = sum(counts)
    return sum(counts[bisect_right(edges, limit) :]) / total if total else 0.0
