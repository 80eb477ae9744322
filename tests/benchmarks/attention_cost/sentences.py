"""What attention costs, in words; every number in them is computed from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.attention_cost.comparison import Compared, Comparison, Number
    from tests.benchmarks.attention_cost.spread import Spread

COORDINATE = "ca"
_CLAIMED_MS = 0.03  # what attention is quoted to add
_MILLION = 1e6


def sentences(comparison: Comparison) -> list[str]:
    """Paragraphs of Markdown, the most important one first."""
    return [" ".join(paragraph) for paragraph in _paragraphs(comparison) if paragraph]


def _paragraphs(comparison: Comparison) -> Iterator[list[str]]:
    if coordinate := comparison[COORDINATE]:
        yield list(_coordinate(coordinate, comparison))
    yield list(_accuracy(comparison))
    yield list(_serving(comparison))


def _coordinate(found: Compared, comparison: Comparison) -> Iterator[str]:
    """The claim, and what is left of it."""
    alone, best, base = found.alone, found.best, comparison.base
    if alone.more is None or alone.ratio is None or best.more is None or base.alone.spread is None:
        return
    yield f"**Coordinate Attention {_adds(alone)} to an image that is executed alone, and {_signed(best.more)} ms in"
    yield "the best batches.**"
    share = found.member.multiply_adds / base.member.multiply_adds - 1
    extra = (found.member.multiply_adds - base.member.multiply_adds) / _MILLION
    predicted = share * base.alone.spread.median
    yield (
        'Its paper speaks of "nearly no computational overhead", and the multiply-adds agree: '
        f"{number(extra)} M more, {number(100 * share)} %, would be {number(predicted)} ms at the speed of the rest."
    )
    if not _told_apart(alone.more):
        yield "In these rounds the cost cannot be told from nothing."
        return
    if alone.more.median > predicted > 0:
        yield (
            f"It costs {number(alone.more.median / predicted)} times that: what the count leaves out, pooling, gates"
            " and normalisation, reads and writes whole activations."
        )
    if alone.more.median > 0:
        yield (
            f'What is quoted as "+{_CLAIMED_MS:g} ms" is +{number(alone.more.median)} ms here, '
            f"{number(alone.more.median / _CLAIMED_MS)} times as much."
        )


def _accuracy(comparison: Comparison) -> Iterator[str]:
    """What a point of the paper's accuracy costs."""
    base = comparison.base.member.paper_top1
    if base is None:
        return
    parts = [
        f"{each.member.attention} {number(each.alone.more.median / (each.member.paper_top1 - base))} ms"
        f" (+{number(round(each.member.paper_top1 - base, 1))} points for {_signed_median(each.alone.more)} ms)"
        for each in comparison.members
        if each.alone.more and each.member.paper_top1 is not None and each.member.paper_top1 > base
    ]
    if parts:
        yield f"A point of the paper's top-1 accuracy costs, alone: {', '.join(parts)}."


def _serving(comparison: Comparison) -> Iterator[str]:
    """What is left of the images a second."""
    settings = comparison.costs.settings
    others = [each for each in comparison.members if each.images.ratio]
    base = comparison.base.images.spread
    if not others or base is None:
        return
    parts = [f"{each.member.attention} {each.images.ratio.text()}" for each in others if each.images.ratio]
    yield (
        f"Served with 99 of 100 answers within {number(settings.objective_ms)} ms, the network without attention"
        f" carries {base.text()} images a second; the others so many times that: {', '.join(parts)}."
    )


def _adds(found: Number) -> str:
    more, ratio = found.more, found.ratio
    if more is None or ratio is None:
        return "adds nothing that was measured"
    verb = "adds" if more.median >= 0 else "saves"
    percent = number(100 * abs(ratio.median - 1))
    return f"{verb} {number(abs(more.median))} ms of CPU{_range(more)}, {percent} %,"


def _range(found: Spread) -> str:
    return (
        ""
        if len(found.values) == 1
        else f" ({_sign(found.low)} to {_sign(found.high)} over {len(found.values)} rounds)"
    )


def _signed(found: Spread) -> str:
    return _signed_median(found) + ("" if len(found.values) == 1 else f" ({_sign(found.low)} to {_sign(found.high)})")


def _signed_median(found: Spread) -> str:
    return _sign(found.median)


def _sign(value: float) -> str:
    return f"+{number(value)}" if value >= 0 else number(value)


def _told_apart(found: Spread) -> bool:
    """Whether all rounds agree on which one is more."""
    return found.low > 0 or found.high < 0
