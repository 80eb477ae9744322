"""Latency against the load that was offered: up to where a deployment carries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from loadtest.report.axis import axis, linear
from loadtest.report.level import OVERLOADED
from loadtest.report.numbers import milliseconds, number, percentile, promised
from loadtest.report.plot import Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.report.axis import Axis
    from loadtest.report.level import Level
    from loadtest.report.markup import Markup

OFFERED, CALLERS = "requests/s offered", "callers that wait for each answer"
"""What load is measured in."""
_OPEN = (
    "From the instant a request was due. Bands: 95 % intervals, as neighbours in a queue wait alike; up "
    "to the edge where there is no upper end. Dots: single runs; hollow ones missed the objective or are doubtful."
)
_CLOSED = (
    "Callers wait: while the server is slow, nobody else comes. What independent callers would wait is not told by it."
)
_TIME = "response time, ms"
_HEADROOM = 1.15  # above the objective, for its name
_TAILS = ("p99", "p95", "p90")
_SIGNS = {"met": "", "missed": "missed", "invalid": "doubtful"}


def latency_by_load(
    levels: Sequence[Level], objective: dict[str, Any] | None, unit: str, rate: float | None
) -> Markup | None:
    """p50 and p99 over `levels` with their intervals; None when fewer than two loads were offered.

    Args:
        levels: By ascending load.
        objective: As in the summary.
        unit: Of the load.
        rate: What is carried; None where that is not known.
    """
    if len(levels) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    return curves({"": levels}, objective, unit, rate)


def curves(
    targets: dict[str, Sequence[Level]], objective: dict[str, Any] | None, unit: str, rate: float | None = None
) -> Markup:
    """The same for several targets by name, with a colour for each."""
    levels = [level for found in targets.values() for level in found]
    names = ("p50", _tail(levels))
    times = [level.percentile_ms(name) for level in levels for name in names]
    plot = Plot(axis([level.load for level in levels], unit), _times(times, objective))
    if rate is not None:
        plot.upright(rate, "met", f"carries {promised(rate)}/s")
    if objective:
        text = f"objective: {percentile(objective['quantile'])} within {milliseconds(objective['limit_ms'])}"
        plot.across(objective["limit_ms"], "limit", text)
    for number_, (target, found) in enumerate(targets.items()):
        for name in names:
            colour = ("p50" if name == "p50" else "p99") if not target else f"target{number_}"
            _draw(plot, found, name, colour, f"{target} {name}".strip())
    caption = _CLOSED if unit == CALLERS else _OPEN
    return plot.figure("Latency against offered load", caption)


def _times(times: Sequence[float], objective: dict[str, Any] | None) -> Axis:
    """An axis for times in milliseconds, around the objective where there is one."""
    told = [time for time in times if math.isfinite(time)]
    if not objective:
        return axis(told, _TIME)
    limit = objective["limit_ms"]
    return linear(0.0, min(max([*told, _HEADROOM * limit]), OVERLOADED * limit), _TIME)


def _tail(levels: Sequence[Level]) -> str:
    """The highest percentile that most levels have enough requests for."""
    told = {name: sum(not math.isnan(level.percentile_ms(name)) for level in levels) for name in _TAILS}
    return next((name for name in _TAILS if 2 * told[name] > len(levels)), _TAILS[-1])


def _draw(plot: Plot, levels: Sequence[Level], name: str, colour: str, legend: str) -> None:
    told = [level for level in levels if not math.isnan(level.percentile_ms(name))]
    intervals = [(level.load, *level.interval_ms(name)) for level in told]
    if len(told) > 1:
        plot.band([(x, low) for x, low, _ in intervals], [(x, high) for x, _, high in intervals], colour)
    else:
        for x, low, high in intervals:
            plot.whisker(x, low, high, colour)
    plot.line(
        _up_to([(level.load, level.percentile_ms(name)) for level in told], plot.y.high),
        colour,
        legend,
        style="thin" if name == "p50" else "",
    )
    for level in told:
        _runs(plot, level, name, colour)


def _up_to(points: Sequence[tuple[float, float]], edge: float) -> list[tuple[float, float]]:
    """The points up to where their line leaves the plot at its upper edge, and from where it comes back."""
    beyond = [False, *(y > edge for _, y in points), False]
    hidden = [all(beyond[place : place + 3]) for place in range(len(points))]  # with both neighbours
    return [(x, math.inf if out else min(y, edge)) for (x, y), out in zip(points, hidden, strict=True)]


def _runs(plot: Plot, level: Level, name: str, colour: str) -> None:
    for run in level.runs:
        found = run["latency_ms"][name]
        text = f"{run['label']}: {number(level.load)}, {name} {milliseconds(found)} {_SIGNS[run['verdict']]}".strip()
        if found is None and name in run["latency_interval_ms"]:
            plot.cross(level.load, "failed", f"{text}: never")
        elif found is not None and found <= plot.y.high:
            plot.point(level.load, found, colour, text, style="" if run["verdict"] == "met" else "hollow")
