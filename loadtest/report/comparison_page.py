"""The report on two results: what may be claimed, both curves, and every ratio with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadtest.paired import CONFIDENCE, FEWEST_ROUNDS
from loadtest.report import tables
from loadtest.report.axis import Axis
from loadtest.report.latency_by_load import CALLERS, OFFERED, curves
from loadtest.report.level import Level, closed_loops, open_loops
from loadtest.report.markup import Markup, element
from loadtest.report.markup import markdown as escaped
from loadtest.report.numbers import UNKNOWN, number
from loadtest.report.page import charts, page, top
from loadtest.report.sentence import Statement
from loadtest.report.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.comparison import Compared
    from loadtest.results import Results

METHOD = (
    f"Paired by rounds: {CONFIDENCE:.0%} intervals of the mean log ratio by Student's t. A difference is claimed after "
    "Holm's correction for the number of comparisons. Rounds that measured the client or its machine do not count."
)
_TELLS = 2.0  # times its lower end: an interval whose upper end is further away tells nothing
_WIDTH, _HEIGHT = 190.0, 18.0
_NARROWEST = 1.25  # the least ratio at the picture's edge


def html(names: tuple[str, str], sides: tuple[Sequence[Results], Sequence[Results]], found: Sequence[Compared]) -> str:
    """The comparison as a page.

    Args:
        names: Of the first and of the second.
        sides: Their rounds.
        found: What `comparison.compare` found.
    """
    statement = state(names, found)
    return page(
        statement.sentence,
        top(statement, _colour(found), f"{names[1]} against {names[0]}, {_rounds(len(sides[0]))}"),
        charts(_curves(names, sides)),
        _ratios(names, found),
        *(_setting(name, side).html() for name, side in zip(names, sides, strict=True)),
    )


def markdown(
    names: tuple[str, str], sides: tuple[Sequence[Results], Sequence[Results]], found: Sequence[Compared]
) -> str:
    """The same without charts."""
    statement = state(names, found)
    details = "\n".join(f"- {escaped(detail)}" for detail in statement.details)
    settings = [_setting(name, side).markdown() for name, side in zip(names, sides, strict=True)]
    parts = [f"# {escaped(statement.sentence)}", details, _table(names, found).markdown(), *settings]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def state(names: tuple[str, str], found: Sequence[Compared]) -> Statement:
    """What may be claimed."""
    failures = _failures(names, found)
    # The tail at the highest load matters most.
    claimed = sorted((each for each in reversed(found) if each.claimed), key=lambda each: "p99" not in each.metric)
    if claimed:
        first, *rest = (_claim(names, each) for each in claimed)
        return Statement(_word(names, claimed), first, (*rest, *failures, METHOD))
    if too_wide(found):
        text = f"Whether {names[0]} and {names[1]} differ cannot be told: no interval is narrower than a factor of two"
        aside = (
            "The rate that is answered is left aside: the load that was offered sets it as long as a server keeps up"
        )
        details = (aside,) if any(each.offered for each in found) else ()
        return Statement("cannot tell", f"{text}; more rounds narrow them", (*details, *failures, METHOD))
    if any(each.ratio for each in found):
        text = f"no difference between {names[0]} and {names[1]} may be claimed"
        return Statement("no difference", text[0].upper() + text[1:], (*failures, METHOD))
    left_out = max((each.left_out for each in found), default=0)
    why = f"a claim takes {FEWEST_ROUNDS} rounds that count, as one says nothing about chance"
    which, them = ("1 round does", "it") if left_out == 1 else (f"{left_out} rounds do", "them")
    why_not = [
        f"{which} not count: the client was measured in {them}, too few requests tell a percentile, or a server failed"
    ]
    details = (*(why_not if left_out else ()), *failures, METHOD)
    return Statement("no claim", f"Nothing may be claimed: {why}", details)


def _failures(names: tuple[str, str], found: Sequence[Compared]) -> list[str]:
    """In how many rounds a side has no ratio as it failed."""
    return [
        f"{_name(name, each)} counts as {'0' if each.more_is_better else 'infinite'} in {_rounds(count)}, in which it "
        f"failed, or was so late that nobody can tell how late: nothing is claimed of it in favour of {name}"
        for each in found
        for name, count in zip(names, each.failed, strict=True)
        if count
    ]


def _name(name: str, each: Compared) -> str:
    """Whose metric it is, and at which load."""
    return f"{name}'s {each.metric.partition(',')[0]} {each.load}".strip()


def _rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def too_wide(found: Sequence[Compared]) -> bool:
    """Whether there are intervals, none of which claims anything or would show that nothing differs."""
    told = [each.ratio for each in found if each.ratio and not each.offered]
    return bool(told) and not any(each.claimed for each in found) and all(r.high >= _TELLS * r.low for r in told)


def _word(names: tuple[str, str], claimed: Sequence[Compared]) -> str:
    worse = {each.worse for each in claimed}
    return "mixed" if len(worse) > 1 else f"{names[1]} {'worse' if worse.pop() else 'better'}"


def _claim(names: tuple[str, str], each: Compared) -> str:
    if each.ratio is None:
        raise ValueError("there is no claim without a ratio")
    interval = f"{number(each.ratio.low)} to {number(each.ratio.high)}"
    return f"{_name(names[1], each)} is {number(each.ratio.ratio)} times that of {names[0]} ({interval})"


def _colour(found: Sequence[Compared]) -> str:
    if not any(each.ratio for each in found) or too_wide(found):
        return "invalid"
    return "missed" if any(each.worse for each in found) else "met"


def _curves(names: tuple[str, str], sides: tuple[Sequence[Results], Sequence[Results]]) -> Markup | None:
    """Latency against load of both, all rounds together."""
    for levels, unit in ((open_loops, OFFERED), (closed_loops, CALLERS)):
        both = [_together([level for results in side for level in levels(results)]) for side in sides]
        if all(both):
            objective = sides[0][0].summary["objective"]
            return curves(dict(zip(_distinct(names), both, strict=True)), objective, unit)
    return None


def _distinct(names: tuple[str, str]) -> tuple[str, str]:
    return names if names[0] != names[1] else (f"{names[0]} (first)", f"{names[1]} (second)")


def _together(levels: Sequence[Level]) -> list[Level]:
    """Levels of the same load as one, without those that are not to be believed where there are others."""
    merged = []
    for load in sorted({level.load for level in levels}):
        same = [level for level in levels if level.load == load]
        same = [level for level in same if level.believable] or same
        runs, traces = (tuple(each for level in same for each in getattr(level, name)) for name in ("runs", "traces"))
        merged.append(Level(load, runs, traces))
    return merged


def _table(names: tuple[str, str], found: Sequence[Compared]) -> Table:
    head = ("", f"{names[0]}", f"{names[1]}", "ratio", f"{CONFIDENCE:.0%} interval", "rounds", "")
    return Table(f"{names[1]} against {names[0]}", head, tuple(_row(each) for each in found))


def _row(each: Compared) -> tuple[str | float | None, ...]:
    between = f"{number(each.ratio.low)} to {number(each.ratio.high)}" if each.ratio else UNKNOWN
    # Where one failed, so did its mean over all rounds.
    failure = 0.0 if each.more_is_better else math.inf
    means = [
        failure if failed else _geometric_mean(values)
        for values, failed in zip((each.first, each.second), each.failed, strict=True)
    ]
    rounds = f"{len(each.first)} of {len(each.first) + each.left_out}"
    claim = ("worse" if each.worse else "better") if each.claimed else "no claim"
    name = f"{each.metric} {each.load}".strip()
    return name, *means, each.ratio.ratio if each.ratio else None, between, rounds, claim


def _geometric_mean(values: Sequence[float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def _ratios(names: tuple[str, str], found: Sequence[Compared]) -> Markup:
    """The table, with a picture of each interval."""
    told = [each.ratio for each in found if each.ratio]
    edge = max([_NARROWEST, *(max(each.high, 1 / each.low) for each in told)])
    axis = Axis(1 / edge, edge, logarithmic=True)
    table = _table(names, found)
    head = [element("th", text, scope="col") for text in (*table.head, f"1/{number(edge)} to {number(edge)} times")]
    rows = []
    for row, each in zip(table.rows, found, strict=True):
        cells = [element("td", cell if isinstance(cell, str) else number(cell)) for cell in row[1:]]
        colour = "failed" if each.worse else "met" if each.claimed else "network"
        rows.append(element("tr", element("th", str(row[0]), scope="row"), *cells, _picture(each, axis, colour)))
    body = element("table", element("thead", element("tr", *head)), element("tbody", *rows))
    return element("section", element("h2", table.title), element("div", body, class_="wide"))


def _picture(each: Compared, axis: Axis, colour: str) -> Markup:
    """An interval on a logarithmic scale, with a line where both are equal."""
    middle = _HEIGHT / 2
    marks = [element("line", x1=_WIDTH / 2, x2=_WIDTH / 2, y1=0, y2=_HEIGHT, class_="tick")]
    if each.ratio:
        low, at, high = (_WIDTH * axis.place(value) for value in (each.ratio.low, each.ratio.ratio, each.ratio.high))
        marks.append(element("line", x1=low, x2=high, y1=middle, y2=middle, class_="line", data_colour=colour))
        marks.append(element("circle", cx=at, cy=middle, r=4, class_="dot", data_colour=colour))
    svg = element("svg", *marks, viewBox=f"-5 0 {_WIDTH + 10:g} {_HEIGHT:g}", xmlns="http://www.w3.org/2000/svg")
    return element("td", svg, class_="picture")


def _setting(name: str, side: Sequence[Results]) -> Table:
    table = tables.setting(side[0].summary)
    return Table(f"{name}: {table.title.lower()}", table.head, table.rows)
