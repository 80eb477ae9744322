"""Two results, or two series of rounds, side by side: what may be said about their difference."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest import paired
from loadtest.report.level import Level, closed_loops, open_loops
from loadtest.verdict import MISSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadtest.paired import Ratio
    from loadtest.results import Results

_CARRIED = "rate that is carried"
_ANSWERED = "answered, requests/s"
_ANY_LOAD = 0.0  # in place of a load that a scenario looks for, since each server needs another one


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that both were measured by.

    Attributes:
        name: With its unit.
        more_is_better: Whether a higher number is.
        of: Its value at a level; NaN where it is not told, infinite or 0 where the server failed.
    """

    name: str
    more_is_better: bool
    of: Callable[[Level], float]


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric at one load, in all rounds.

    Attributes:
        load: "at 40 requests/s", for example.
        metric: Its name, with its unit.
        more_is_better: Whether a higher number is.
        first: Its values, one for each round that counts.
        second: Likewise.
        left_out: Rounds that do not count, as the client was measured in them, a value is not told, or one has failed.
        ratio: Second to first; None where too few rounds count.
        failed: In how many rounds the first and the second failed: latency counts as infinite, a rate as 0.
        offered: Whether the load itself sets it as long as a server keeps up, so that to be alike says little.
        claimed: Whether the difference is more than chance, see `paired.holm`.
    """

    load: str
    metric: str
    more_is_better: bool
    first: tuple[float, ...]
    second: tuple[float, ...]
    left_out: int
    ratio: Ratio | None
    failed: tuple[int, int] = (0, 0)
    offered: bool = False
    claimed: bool = False

    @property
    def worse(self) -> bool:
        """Whether the second may be called worse."""
        return self.claimed and self.seems_worse

    @property
    def seems_worse(self) -> bool:
        """Whether the second is worse in the rounds that count, be it by chance."""
        return self.ratio is not None and (self.ratio.ratio < 1) == self.more_is_better

    @property
    def second_failed_more(self) -> bool:
        """Whether the second failed in more rounds than the first: no ratio tells, but it is not as good either."""
        return self.failed[1] > self.failed[0]

    @property
    def favours_failure(self) -> bool:
        """Whether the one that seems better failed in other rounds, so that those that count say too much for it."""
        return self.failed[0 if self.seems_worse else 1] > 0


def compare(first: Sequence[Results], second: Sequence[Results]) -> list[Compared]:
    """Compare round by round.

    Raises:
        ValueError: The rounds do not pair up, were asked different questions, or have nothing in common.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} rounds cannot be paired with {len(second)}")
    _check_alike([each.summary for each in (*first, *second)])
    compared = [*_carried(first, second), *_levels(first, second)]
    if not compared:
        raise ValueError("they have no load in common: offer both the same --rate, or let both search")
    told = [each for each in compared if each.ratio]
    claims = iter(paired.holm([each.ratio.p_value for each in told if each.ratio]))
    return [
        replace(each, claimed=next(claims) and not each.favours_failure) if each.ratio else each for each in compared
    ]


def _check_alike(summaries: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError where rounds were asked different questions, so that their answers say nothing of a server."""
    for key in ("scenario", "objective"):
        if others := [each[key] for each in summaries if each[key] != summaries[0][key]]:
            raise ValueError(f"they differ in their {key}: {summaries[0][key]} and {others[0]}")


def _carried(first: Sequence[Results], second: Sequence[Results]) -> list[Compared]:
    """The answers of two searches."""
    if any(each.summary["scenario"] != "search" for each in (*first, *second)):
        return []
    rates = [[_carried_rate(each) for each in side] for side in (first, second)]
    return [_compared("", _CARRIED, *rates, more_is_better=True)]


def _carried_rate(search: Results) -> float:
    """What a search found: 0 where no rate met the objective, NaN where that was not told, or is only a lower bound."""
    found = search.summary["findings"]
    if found.get("client_limit") or found.get("out_of_time"):
        return math.nan
    rate = found.get("rate")
    return float(rate or (0.0 if search.summary["verdict"] == MISSED else math.nan))


def _levels(first: Sequence[Results], second: Sequence[Results]) -> list[Compared]:
    found = []
    for levels, unit, offered in ((open_loops, "requests/s", _ANSWERED), (closed_loops, "callers", None)):
        sides = [[_by_load(levels(each), each) for each in side] for side in (first, second)]
        everywhere = set.intersection(*(set(levels) for side in sides for levels in side))
        for load in sorted(everywhere):
            mine, theirs = ([levels[load] for levels in side] for side in sides)
            measured = [each for each in METRICS if any(not math.isnan(each.of(level)) for level in (*mine, *theirs))]
            name = "with as many callers as it takes" if load == _ANY_LOAD else f"at {load:.4g} {unit}"
            at_load = [_at_level(name, metric, mine, theirs) for metric in measured]
            found += [replace(each, offered=each.metric == offered) for each in at_load]
    return found


def _by_load(levels: Sequence[Level], results: Results) -> dict[float, Level]:
    """Levels by what makes them alike: the load, unless the scenario looked for it."""
    if results.summary["scenario"] == "offline":
        return dict.fromkeys([_ANY_LOAD], levels[0]) if levels else {}
    return {level.load: level for level in levels}


def _at_level(load: str, metric: Metric, first: Sequence[Level], second: Sequence[Level]) -> Compared:
    values = [[metric.of(level) if level.believable else math.nan for level in side] for side in (first, second)]
    return _compared(load, metric.name, *values, more_is_better=metric.more_is_better)


def _compared(
    load: str, name: str, first: Sequence[float], second: Sequence[float], *, more_is_better: bool
) -> Compared:
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if 0 < a < math.inf and 0 < b < math.inf]
    mine, theirs = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    left_out = len(first) - len(pairs)
    failed = _failures(first), _failures(second)
    return Compared(load, name, more_is_better, mine, theirs, left_out, paired.ratio(mine, theirs), failed)


def _failures(values: Sequence[float]) -> int:
    return sum(value in (0.0, math.inf) for value in values)


def _answered_rate(level: Level) -> float:
    return float(np.mean([run["achieved_rate"] for run in level.runs]))


def _latency_ms(level: Level, name: str) -> float:
    """A percentile; infinite, too, where the server missed its objective and nobody can tell by how much."""
    return math.inf if level.believable and level.contains_lag else level.percentile_ms(name)


def _cpu_ms(level: Level) -> float:
    """CPU time of the server for an answered request; NaN where nobody measured it."""
    return float(np.mean([run.get("server_cpu_ms") or math.nan for run in level.runs]))


METRICS = (
    Metric("p50, ms", more_is_better=False, of=lambda level: _latency_ms(level, "p50")),
    Metric("p99, ms", more_is_better=False, of=lambda level: _latency_ms(level, "p99")),
    Metric(_ANSWERED, more_is_better=True, of=_answered_rate),
    Metric("server CPU for a request, ms", more_is_better=False, of=_cpu_ms),
)
