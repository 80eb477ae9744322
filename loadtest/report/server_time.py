"""Where the time of an answered request went, as the server and the client together tell it, and batch sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.report.axis import Axis, axis
from loadtest.report.numbers import milliseconds, number, share
from loadtest.report.plot import Plot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadtest.report.level import Level
    from loadtest.report.markup import Markup

_STAGES = {
    "queue": "queue",
    "compute_input": "gathering inputs",
    "compute": "model",
    "compute_output": "handing out outputs",
    "rest": "rest of the server",
    "network": "network and client",
    "client": "late sending",
}
# There the server tells of each image by itself, and its request ends with the slowest of them.
_STAGES_OF_AN_IMAGE = _STAGES | {"network": "other images of the request, network and client"}
_BAR = 0.36  # half of its width, in places
_FEWEST_PLACES = 4  # so that a lone bar is no wall


def parts_ms(level: Level) -> dict[str, float] | None:
    """Means over a level's answered requests; None where the server tells nothing.

    What the server counts and the client does not see, such as requests of a run's first seconds, shifts the parts by
    a little; none is below zero.
    """
    told = [run["server"] for run in level.runs if run["server"] and run["server"]["requests"]]
    answers = [trace.select(trace.ok) for trace in level.traces]
    if not told or not any(map(len, answers)):
        return None
    weights = [server["requests"] for server in told]

    def mean(name: str) -> float:
        return float(np.average([server[f"{name}_ms"] or 0.0 for server in told], weights=weights))

    parts = {name: mean(name) for name in ("queue", "compute_input", "compute_output")}
    parts["compute"] = mean("compute_infer")
    inside = mean("request")
    service = _mean(answer.service_seconds for answer in answers) * 1e3
    response = _mean(answer.response_seconds for answer in answers) * 1e3
    parts["rest"] = max(0.0, inside - sum(parts.values()))
    parts["network"] = max(0.0, service - inside)
    parts["client"] = max(0.0, response - service)
    return {name: parts[name] for name in _STAGES}


def _mean(seconds: Iterable[Any]) -> float:
    return float(np.concatenate(list(seconds)).mean())


def time_chart(levels: Sequence[Level], unit: str, api: str | None = None) -> Markup | None:
    """A bar for each level, in parts; None where the server tells nothing. `api` is the one that was asked."""
    told = [(level, parts) for level in levels if (parts := parts_ms(level))]
    if not told:
        return None
    of_image = api == "classify" and any(run["images"] > run["requests"] for level, _ in told for run in level.runs)
    stages = _STAGES_OF_AN_IMAGE if of_image else _STAGES
    totals = [sum(parts.values()) for _, parts in told]
    plot = Plot(_places([number(level.load) for level, _ in told], unit), axis([0.0, *totals], "mean, ms"))
    for place, (level, parts) in enumerate(told):
        ground = 0.0
        for name, value in parts.items():
            text = f"{number(level.load)}: {stages[name]} {milliseconds(value)}"
            plot.bar(place + 0.5 - _BAR, place + 0.5 + _BAR, ground, ground + value, name, text)
            ground += value
    for name, text in stages.items():
        if any(parts[name] for _, parts in told):
            plot.explain(f"{text} {milliseconds(told[0][1][name])}" if len(told) == 1 else text, name)
    of_what = " for an image" if of_image else ""
    return plot.figure(
        "Where the time went",
        f"Means over answered requests: the server's own split{of_what}, and what the client saw beyond it.",
    )


def batch_chart(level: Level, unit: str) -> Markup | None:
    """How many of the images were computed in batches of each size; None where the server does not tell."""
    images: dict[int, int] = {}
    for run in level.runs:
        for size, executions in (run["server"] or {}).get("batch_sizes", {}).items():
            images[int(size)] = images.get(int(size), 0) + int(size) * executions
    if not images:
        return None
    total = sum(images.values())
    sizes = list(range(1, max(images) + 1))
    plot = Plot(
        _places([str(size) for size in sizes], "images in a batch"),
        axis([0.0, *(100 * count / total for count in images.values())], "% of the images"),
    )
    for place, size in enumerate(sizes):
        part = images.get(size, 0) / total
        text = f"batches of {size}: {share(part)} of the images"
        plot.bar(place + 0.5 - _BAR, place + 0.5 + _BAR, 0.0, 100 * part, "compute", text)
    return plot.figure("Batch sizes", f"At {number(level.load)} {unit}.")


def _places(names: Sequence[str], title: str) -> Axis:
    """An axis with a place for each name."""
    end = max(len(names), _FEWEST_PLACES)
    return Axis(0.0, float(end), title=title, ticks=tuple((place + 0.5, name) for place, name in enumerate(names)))
