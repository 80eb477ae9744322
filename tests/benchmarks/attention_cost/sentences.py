"""What attention costs, in words; every number in them is computed from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.attention_cost.comparison import Compared, Comparison
    from tests.benchmarks.attention_cost.spread import Spread

_COORDINATE = "ca"
_QUOTED_MS = 0.03  # the cost that its paper is quoted with
_MILLION = 1e6


def sentences(comparison: Comparison) -> list[str]:
    """Paragraphs of Markdown, the most important one first."""
    paragraphs = (_coordinate(comparison), _accuracy(comparison), _carried(comparison))
    return [text for paragraph in paragraphs if (text := " ".join(paragraph))]


def headline(comparison: Comparison) -> str:
    """What Coordinate Attention costs, in a few words; empty where it was not measured."""
    found = comparison[_COORDINATE]
    if found is None or found.alone.more is None or found.alone.ratio is None:
        return ""
    return f"Coordinate Attention: {found.alone.more.middle(signed=True)} ms an image ({_percent(found.alone.ratio)})"


def _percent(ratio: Spread) -> str:
    return f"{100 * (ratio.median - 1):+.0f} %"


def _coordinate(comparison: Comparison) -> Iterator[str]:
    """What its paper says of Coordinate Attention, and what was measured."""
    found, base = comparison[_COORDINATE], comparison.base.alone.spread
    if found is None or base is None or not (found.alone.more and found.alone.ratio and found.best.more):
        return
    more = found.alone.more
    yield (
        f"**Coordinate Attention costs {more.text(signed=True)} ms of CPU an image, {_percent(found.alone.ratio)}, if"
        f" each is executed alone, and {found.best.more.text(signed=True)} ms in the best batches.**"
    )
    yield from _promise(found, comparison.base, base.median, more)


def _promise(found: Compared, base: Compared, base_ms: float, more: Spread) -> Iterator[str]:
    """How the cost that was measured stands to what the paper counts and to what it is quoted with."""
    extra = found.member.multiply_adds - base.member.multiply_adds
    share = extra / base.member.multiply_adds
    counted_ms = share * base_ms
    yield (
        f'Its paper promises "nearly no computational overhead" and counts multiply-adds: {number(extra / _MILLION)} M'
        f" more here, {100 * share:+.1f} %, which at the speed of the other ones would be {counted_ms:+.2f} ms."
    )
    quoted = f'the "+{_QUOTED_MS:g} ms" that is quoted is {more.middle(signed=True)} ms here'
    if more.low <= 0 <= more.high:
        yield "In these rounds what was measured cannot be told from nothing."
    elif more.median > counted_ms > 0:
        yield (
            f"What was measured is {number(more.median / counted_ms)} times that, since means, gates and normalisation"
            " multiply little but read and write whole activations:"
            f" {quoted}, {number(more.median / _QUOTED_MS)} times as much."
        )
    else:
        yield f"What was measured is no more than that: {quoted}."


def _accuracy(comparison: Comparison) -> Iterator[str]:
    """What the accuracy in the paper costs."""
    base = comparison.base.member.paper_top1
    parts = [
        f"{each.member.attention} {each.member.paper_top1 - base:+.1f} for {each.alone.more.middle(signed=True)} ms"
        for each in comparison.members
        if base is not None and each.member.paper_top1 is not None and each.alone.more
    ]
    if parts:
        yield f"What one gets for it, points of top-1 in the paper for CPU of an image alone: {', '.join(parts)}."


def _carried(comparison: Comparison) -> Iterator[str]:
    """What is left of the images a second."""
    base = comparison.base.images.spread
    parts = [f"{each.member.attention} {each.images.ratio.text()}" for each in comparison.members if each.images.ratio]
    if base and parts:
        yield (
            f"Served so that 99 of 100 answers come within {number(comparison.costs.settings.objective_ms)} ms, the"
            f" network without attention carries {base.text()} images a second; times as many: {', '.join(parts)}."
        )
