"""The runs of a result that offered the same load, taken together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.intervals import intervals
from loadtest.percentiles import QUANTILES, quantile, tells
from loadtest.trace import NOTHING, Trace
from loadtest.verdict import overall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadtest.results import Requests, Results

OVERLOADED = 4.0
"""From how many times the objective on it no longer matters how long a request took."""
_MOST_LEVELS = 8  # that are told apart side by side
_BAD = "bad: "  # what kinds of bad input are called


@dataclass(frozen=True, slots=True)
class Level:
    """A load that was offered in one run or in several.

    Attributes:
        load: Requests a second, or callers of a closed loop.
        runs: Descriptions from the summary.
        traces: Requests with good input, of each run.
    """

    load: float
    runs: tuple[dict[str, Any], ...]
    traces: tuple[Trace, ...]

    @property
    def verdict(self) -> str:
        """Over all its runs."""
        return overall(run["verdict"] for run in self.runs)

    @property
    def believable(self) -> bool:
        """Whether the server was measured in all its runs, and not the client or its machine."""
        return all(each["valid"] or each.get("forgiven") for run in self.runs for each in run["conditions"])

    @property
    def contains_lag(self) -> bool:
        """Whether its response times are partly the client's own lag, forgiven as the server missed anyway."""
        return any(each.get("forgiven") for run in self.runs for each in run["conditions"])

    def response_ms(self) -> NDArray[np.float64]:
        """Response times of all its requests, ascending; infinite without a right answer."""
        return np.sort(np.concatenate([trace.response_seconds for trace in self.traces])) * 1e3

    def percentile_ms(self, name: str) -> float:
        """A percentile of the response time; infinite without an answer, NaN where too few requests tell it."""
        times = self.response_ms()
        return quantile(times, QUANTILES[name]) if tells(len(times), QUANTILES[name]) else float("nan")

    def interval_ms(self, name: str) -> tuple[float, float]:
        """The 95 % interval of that percentile, where `percentile_ms` tells it, see `intervals`."""
        low, high = intervals(*(trace.response_seconds for trace in self.traces))[name]
        return low * 1e3, high * 1e3


def open_loops(results: Results) -> list[Level]:
    """Levels of schedules, by the rate; runs that are not judged are left out."""
    return _levels(results, "rate")


def closed_loops(results: Results) -> list[Level]:
    """Levels of closed loops, by the number of callers."""
    return _levels(results, "concurrency")


def _levels(results: Results, key: str) -> list[Level]:
    runs = results.summary["runs"]
    loads = sorted({run[key] for run in runs if run[key] is not None and run["judged"]})
    found = []
    for load in loads:
        chosen = [number for number, run in enumerate(runs) if run[key] == load and run["judged"]]
        traces = tuple(good(results.runs[number]) for number in chosen)
        if any(map(len, traces)):
            found.append(Level(load, tuple(runs[number] for number in chosen), traces))
    return found


def good(requests: Requests) -> Trace:
    """The requests of a run that had good input: all that latencies are told of."""
    if not len(requests.trace):
        return NOTHING
    wanted = np.array([not kind.startswith(_BAD) for kind in requests.kinds])
    return requests.trace.select(wanted[requests.trace.message])


def carried(levels: Sequence[Level], objective: dict[str, Any] | None) -> list[Level]:
    """Up to eight of `levels`, evenly chosen, without those that were overloaded."""
    limit = OVERLOADED * objective["limit_ms"] if objective else np.inf
    kept = [level for level in levels if level.percentile_ms("p50") <= limit]
    if len(kept) <= _MOST_LEVELS:
        return kept
    return [kept[place] for place in np.linspace(0, len(kept) - 1, _MOST_LEVELS).round().astype(int)]
