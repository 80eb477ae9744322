"""Latency over time, with what failed and what was dropped marked where it was due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.report.axis import axis, linear
from loadtest.report.numbers import milliseconds, number
from loadtest.report.plot import Plot
from loadtest.trace import DROPPED, OUTCOME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadtest.report.markup import Markup
    from loadtest.trace import Trace

_BINS = 100
_PER_BIN = 5  # requests that a bin should have at least


def timeline(trace: Trace, seconds: float, objective: dict[str, Any] | None) -> Markup | None:
    """The median and the slowest answer of each moment; None without requests."""
    if not len(trace):
        return None
    count = int(np.clip(len(trace) / _PER_BIN, 1, _BINS))
    edges = np.linspace(0, max(seconds, float(trace.due[-1]) + 1e-9), count + 1)
    place = np.clip(np.searchsorted(edges, trace.due, side="right") - 1, 0, count - 1)
    times = np.where(trace.ok, trace.response_seconds * 1e3, np.nan)
    columns = [_median_and_most(times[place == number_]) for number_ in range(count)]
    limit = [objective["limit_ms"] * 1.15] if objective else []
    values = [value for column in columns for value in column if not np.isnan(value)]
    plot = Plot(linear(0, float(edges[-1]), "seconds since the start"), axis([*values, *limit], "response time, ms"))
    if objective:
        plot.across(objective["limit_ms"], "limit", "objective")
    middles = (edges[:-1] + edges[1:]) / 2
    for colour, name, style, row in (("p99", "slowest", "", 1), ("p50", "median", "thin", 0)):
        points = [(float(x), column[row]) for x, column in zip(middles, columns, strict=True)]
        plot.line(points, colour, name, style=style)
    dropped = trace.outcome == OUTCOME[DROPPED]
    _mark(plot, trace, ~trace.ok & ~dropped, place, "failed")
    _mark(plot, trace, dropped, place, "dropped")
    each = float(edges[1] - edges[0])
    return plot.figure(
        "Over time", f"Each point stands for the requests that were due within {milliseconds(each * 1e3)}."
    )


def _median_and_most(times: NDArray[np.float64]) -> tuple[float, float]:
    answered = times[~np.isnan(times)]
    if not len(answered):
        return float("nan"), float("nan")
    return float(np.median(answered)), float(answered.max())


def _mark(plot: Plot, trace: Trace, wanted: NDArray[np.bool_], place: NDArray[np.int64], kind: str) -> None:
    """A cross for each moment in which something came to a bad end."""
    for number_ in np.unique(place[wanted]):
        here = wanted & (place == number_)
        due = float(trace.due[here].mean())
        text = f"{number(int(here.sum()))} {kind} at {number(due)} s"
        plot.cross(due, kind, text, row=kind == "dropped")
    if wanted.any():
        plot.explain(f"{kind}: {number(int(wanted.sum()))}", kind)
