"""Times against percentiles, on the axis of HdrHistogram's plots: each further nine has the same room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.intervals import intervals
from loadtest.percentiles import QUANTILES, quantile, tells
from loadtest.report.axis import Axis, axis
from loadtest.report.numbers import milliseconds, percentile, share
from loadtest.report.plot import Plot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadtest.report.markup import Markup
    from loadtest.trace import Trace

_STEPS = 90
_MOSTLY = 0.9
_OPEN = (
    "What lies between the two curves is coordinated omission: waiting that a client hides which times from the moment "
    "of sending. Band: 95 % interval, up to the edge where it has no upper end. Dotted: fewer than ten lie beyond."
)
_CLOSED = "Callers waited for each answer, so that both times are one. Band: 95 % interval."
_NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def response_and_service(trace: Trace, objective: dict[str, Any] | None, *, closed: bool) -> Markup | None:
    """Response and service time of a run's requests; None without any answer.

    Args:
        trace: The requests.
        objective: As in the summary.
        closed: Whether callers waited for their answers.
    """
    if not trace.ok.any():
        return None
    response, service = (np.sort(times) * 1e3 for times in (trace.response_seconds, trace.service_seconds))
    plot = _plot(response, service, [objective["limit_ms"] * 1.15] if objective else [])
    _never_answered(plot, trace)
    if objective:
        text = f"objective: {percentile(objective['quantile'])} within {milliseconds(objective['limit_ms'])}"
        # Where the curve is not.
        plot.across(objective["limit_ms"], "limit", text, "start" if _mostly_within(response, objective) else "end")
    _interval(plot, trace, "p99")
    _curve(plot, service, "service", "service time, from when it was sent", "dashed")
    _curve(plot, response, "p99", "response time, from when it was due")
    return plot.figure("Percentiles", _CLOSED if closed else _OPEN)


def _mostly_within(response: NDArray[np.float64], objective: dict[str, Any]) -> bool:
    return quantile(response, _MOSTLY) <= float(objective["limit_ms"])


def lag(trace: Trace) -> Markup | None:
    """How late the client itself was; None when nothing was sent on a schedule."""
    late = np.sort(trace.lag_seconds) * 1e3
    if not len(late) or late[-1] <= 0:
        return None
    plot = _plot(late, late, [])
    _curve(plot, late, "client", "from due to sent")
    return plot.figure(
        "How late the client sent",
        "The generator's own delay. It is part of the response time; too much of it voids a run, unless the objective "
        "is missed from sending alone as well.",
    )


def _plot(first: NDArray[np.float64], second: NDArray[np.float64], more: list[float]) -> Plot:
    # The fastest half may lie on the ground: what is read off here is the tail.
    values = np.concatenate([ascending[len(ascending) // 2 :] for ascending in (first, second)])
    values = values[np.isfinite(values)] if np.isfinite(values).any() else first[np.isfinite(first)]
    return Plot(
        _percentiles(len(first)), axis([*values[[0, -1]], float(values.min()), float(values.max()), *more], "ms")
    )


def _percentiles(count: int) -> Axis:
    """From p0 to the last percentile that `count` requests have, by 1 / (1 - q)."""
    ticks = [(1.0, "0 %"), *((1 / (1 - q), share(q).replace(" ", "\N{NO-BREAK SPACE}")) for q in _NINES)]
    end = max(10.0, float(count))
    kept = tuple(tick for tick in ticks if tick[0] <= end * (1 + 1e-9))
    return Axis(1.0, end, logarithmic=True, title="share of the requests that took no longer", ticks=kept)


def _quantiles(count: int) -> list[float]:
    return [1 - 1 / beyond for beyond in np.geomspace(1, max(2, count), _STEPS).tolist()]


def _curve(plot: Plot, ascending: NDArray[np.float64], colour: str, name: str, style: str = "") -> None:
    points = [(q, 1 / (1 - q), quantile(ascending, q)) for q in _quantiles(len(ascending))]
    told = [(x, y) for q, x, y in points if tells(len(ascending), q)]
    rest = [(x, y) for _, x, y in points[max(0, len(told) - 1) :]]
    plot.line(told, colour, name, style=style)
    plot.line(rest, colour, style="dotted")


def _interval(plot: Plot, trace: Trace, colour: str) -> None:
    found = [(1 / (1 - QUANTILES[name]), *ends) for name, ends in intervals(trace.response_seconds).items()]
    if found:
        plot.band([(x, low * 1e3) for x, low, _ in found], [(x, high * 1e3) for x, _, high in found], colour)


def _never_answered(plot: Plot, trace: Trace) -> None:
    failed = int(np.count_nonzero(~trace.ok))
    if failed:
        text = f"{share(failed / len(trace))} never got a right answer"
        plot.shade(len(trace) / failed, plot.x.high, "failed", text)
        plot.note(plot.x.high, plot.y.high, text, "failed", "end")
