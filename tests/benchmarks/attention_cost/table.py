"""The tables: what each member is and costs in the engine, and what it costs where it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.numbers import UNKNOWN, number
from loadtest.report.table import Table

if TYPE_CHECKING:
    from tests.benchmarks.attention_cost.comparison import Compared, Comparison, Number
    from tests.benchmarks.attention_cost.spread import Spread

_MILLION = 1e6


def engine_table(comparison: Comparison) -> Table:
    """Size, and CPU time of the engine."""
    head = (
        "attention",
        "top-1 in the paper",
        "parameters",
        "M-Adds",
        "CPU ms an image, alone",
        "ratio to none",
        "CPU ms an image, best batch",
        "ratio to none",
    )
    return Table("In the engine", head, tuple(_engine_row(each) for each in comparison.members))


def _engine_row(each: Compared) -> tuple[str | float | None, ...]:
    member = each.member
    best = f"{_text(each.best.spread)} in {_batches(each.best_size)}"
    return (
        member.attention,
        UNKNOWN if member.paper_top1 is None else f"{member.paper_top1:.1f} %",
        f"{member.parameters / _MILLION:.2f} M",
        f"{member.multiply_adds / _MILLION:.0f} M",
        _text(each.alone.spread),
        _times(each.alone),
        best,
        _times(each.best),
    )


def served_table(comparison: Comparison) -> Table:
    """What the server needs and gives at the offered rate, and what it carries within the objective."""
    settings = comparison.costs.settings
    rate = f"at {number(settings.rate)}/s"
    head = (
        "attention",
        f"server CPU ms an image {rate}",
        "ratio to none",
        f"p50 {rate}, ms",
        f"p99 {rate}, ms",
        f"images/s with p99 within {number(settings.objective_ms)} ms",
        "ratio to none",
    )
    rows = tuple(
        (
            each.member.attention,
            _text(each.cpu.spread),
            _times(each.cpu),
            _text(each.p50.spread),
            _text(each.p99.spread),
            _text(each.images.spread),
            _times(each.images),
        )
        for each in comparison.members
    )
    return Table("Served", head, rows)


def _batches(size: int) -> str:
    return "batches of one" if size == 1 else f"batches of {size}"


def _text(found: Spread | None) -> str:
    return found.text() if found else UNKNOWN


def _times(found: Number) -> str:
    return found.ratio.text() if found.ratio else UNKNOWN
