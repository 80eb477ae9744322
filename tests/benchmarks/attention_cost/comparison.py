"""The members beside the one without attention: of every number its spread, and its ratio round by round."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tests.benchmarks.attention_cost.costs import NONE
from tests.benchmarks.attention_cost.spread import Spread, differences, ratios, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.attention_cost.costs import Costs, Member


@dataclass(frozen=True, slots=True)
class Number:
    """One number of one member.

    Attributes:
        spread: Over the rounds; None where no round has it.
        ratio: To that of the member without attention in the same round; None for that one itself.
        more: By how much it is more than that, likewise.
    """

    spread: Spread | None
    ratio: Spread | None
    more: Spread | None


@dataclass(frozen=True)
class Compared:
    """One member's numbers.

    Attributes:
        member: Who.
        best_size: The batch size at which an image is cheapest.
        alone: CPU milliseconds of the engine for an image that is executed alone.
        best: ... in batches of `best_size`, beside the other's own best size.
        cpu: CPU milliseconds of the server for an image at the offered rate.
        p50: Milliseconds at the offered rate.
        p99: Likewise.
        images: A second, at the objective.
    """

    member: Member
    best_size: int
    alone: Number
    best: Number
    cpu: Number
    p50: Number
    p99: Number
    images: Number


class Comparison:
    """Every member beside the one without attention."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self._best = {name: _best_size(rounds) for name, rounds in costs.engine.items()}

    @cached_property
    def members(self) -> list[Compared]:
        """In the order of the tables."""
        return [self._compared(member) for member in self.costs.members]

    def __getitem__(self, attention: str) -> Compared | None:
        """A member by its name; None if it was not measured."""
        return next((each for each in self.members if each.member.attention == attention), None)

    @property
    def base(self) -> Compared:
        """The member without attention."""
        return next(each for each in self.members if each.member.attention == NONE)

    def _compared(self, member: Member) -> Compared:
        name = member.attention
        return Compared(
            member,
            self._best[name],
            alone=_number(name, {each: [costs[1] for costs in rounds] for each, rounds in self.costs.engine.items()}),
            best=_number(
                name,
                {each: [costs[self._best[each]] for costs in rounds] for each, rounds in self.costs.engine.items()},
            ),
            cpu=self._served(name, "cpu_ms"),
            p50=self._served(name, "p50_ms"),
            p99=self._served(name, "p99_ms"),
            images=self._served(name, "images_per_second"),
        )

    def _served(self, name: str, field: str) -> Number:
        columns = {each: [getattr(found, field) for found in rounds] for each, rounds in self.costs.served.items()}
        return _number(name, columns)


def _best_size(rounds: Sequence[dict[int, float]]) -> int:
    """The batch size with the least median."""
    medians = {size: Spread(tuple(costs[size] for costs in rounds)).median for size in rounds[0]}
    return min(medians, key=medians.__getitem__)


def _number(name: str, columns: dict[str, list[float | None]]) -> Number:
    own, base = columns[name], columns[NONE]
    if name == NONE:
        return Number(spread(own), None, None)
    return Number(spread(own), ratios(base, own), differences(base, own))
