"""The server's memory in a report: a sentence, a row of numbers, and a line over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from loadtest.report.axis import linear
from loadtest.report.numbers import number
from loadtest.report.plot import Plot
from loadtest.report.table import Table
from loadtest.server_memory import whose

if TYPE_CHECKING:
    from loadtest.report.markup import Markup

_BYTES = 1e6  # in a megabyte


def sentence(findings: dict[str, Any]) -> str:
    """How much it was and how fast it grows, without a full stop."""
    found = findings.get("memory")
    if found is None:
        return "The server's memory was not looked at: --metrics-url HOST:PORT tells where to"
    if found["begin_bytes"] is None:
        return "The server did not tell its memory while it was under load"
    begin, end, growth, most = _numbers(found)
    memory = whose(found["metric"])
    went = f"{memory[0].upper()}{memory[1:]} went from {begin} to {end} MB"
    if found["growth_bytes_per_hour"] is None:
        minutes = math.ceil(found["least_seconds"] / 60)
        return f"{went}; to tell that it grows by no more than {most} MB an hour takes a run of {minutes} min"
    return f"{went}, by {growth} MB an hour; at most {most} MB an hour"


def table(findings: dict[str, Any]) -> Table:
    """The same in numbers; without rows where nothing is known."""
    found = findings.get("memory")
    head = ("", "at the start, MB", "at the end, MB", "growth, MB an hour", "at most", "")
    if found is None or found["begin_bytes"] is None:
        return Table("", head, ())
    told = found["growth_bytes_per_hour"] is not None
    row = (found["metric"], *_numbers(found), ("missed" if found["grows"] else "met") if told else "too short to tell")
    return Table("Memory of the server", head, (row,))


def chart(findings: dict[str, Any]) -> Markup | None:
    """Memory over time; None where nothing is known."""
    found = findings.get("memory")
    if found is None or found["begin_bytes"] is None:
        return None
    points = [(x, y / _BYTES) for x, y in zip(found["seconds"], found["bytes"], strict=True)]
    plot = Plot(
        linear(0, points[-1][0], "seconds since the start"),
        linear(0, max(y for _, y in points), "memory of the server, MB"),
    )
    plot.line(points, "compute")
    return plot.figure(
        "Memory of the server", f"As it tells in {found['metric']}. Growth is told of the last three quarters."
    )


def _numbers(found: dict[str, Any]) -> tuple[str, ...]:
    names = ("begin_bytes", "end_bytes", "growth_bytes_per_hour", "most_growth_bytes_per_hour")
    return tuple(number(None if found[name] is None else found[name] / _BYTES) for name in names)
