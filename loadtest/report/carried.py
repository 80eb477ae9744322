"""Up to which rate a result shows that its objective is met, and which of its runs tells most of that."""

from __future__ import annotations

from typing import Any

from loadtest.verdict import MET, MISSED, overall


def border(judged: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """The highest rate that met the objective, with none below it that missed, and the lowest that missed."""
    rates = sorted({run["rate"] for run in judged if run["rate"] is not None})
    words = {rate: overall(run["verdict"] for run in judged if run["rate"] == rate) for rate in rates}
    missed = [rate for rate in rates if words[rate] == MISSED]
    carried = [rate for rate in rates if words[rate] == MET and not (missed and rate > missed[0])]
    return max(carried, default=None), min(missed, default=None)


def carried_rate(summary: dict[str, Any]) -> float | None:
    """The rate that a result shows to be carried; None where it shows none."""
    if summary["scenario"] == "search":
        rate: float | None = summary["findings"].get("rate")
        return rate
    return border([run for run in summary["runs"] if run["judged"]])[0] if summary["objective"] else None


def shown_run(summary: dict[str, Any]) -> int:
    """The number of the run that a report tells most of: the last one at the rate that is carried, or the headline.

    Where a search ended before it confirmed one, that is the highest rate that met the objective.
    """
    rate = carried_rate(summary) or summary["findings"].get("met_rate")
    found = [number_ for number_, run in enumerate(summary["runs"]) if rate is not None and run["rate"] == rate]
    met = [number_ for number_ in found if summary["runs"][number_]["verdict"] == MET]
    return (met or found or [int(summary["headline"])])[-1]
