"""What a search found: every rate that was probed, and the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from loadtest.early_stopping import Decision


@dataclass(frozen=True, slots=True)
class ProbedRate:
    """What was found at one rate, in the order of probing.

    Attributes:
        rate: Requests a second.
        decision: Whether the objective is met; open where the client could not measure that, or too few requests tell.
        requests: That were sent, over all runs at this rate that count.
        misses: Requests among them that were not answered rightly within the limit.
        purpose: "find", "guard" or "confirm".
        client_limit: Why the client could not measure the rate; empty where it could.
    """

    rate: float
    decision: Decision
    requests: int
    misses: int
    purpose: str
    client_limit: str = ""

    @property
    def met(self) -> bool:
        """Whether the server met the objective."""
        return self.decision is Decision.MET


@dataclass(slots=True)
class SearchResult:
    """The answer.

    Attributes:
        rate: The highest rate that was confirmed; None when even the lowest one did not meet the objective, or the
            search did not end.
        beyond: The lowest rate above it that did not meet the objective, or that the client could not measure; None
            when there was none.
        out_of_time: Whether there was no time to narrow the answer down further, or to confirm one at all.
        spoiled: Why the last run did not count when the time was over; empty where it did.
        probed: All rates in the order in which they were probed.
    """

    rate: float | None = None
    beyond: ProbedRate | None = None
    out_of_time: bool = False
    spoiled: str = ""
    probed: list[ProbedRate] = field(default_factory=list)

    @property
    def missed_rate(self) -> float | None:
        """The rate beyond the answer, if it was the server that did not show that it meets the objective there."""
        return self.beyond.rate if self.beyond and not self.beyond.client_limit else None

    @property
    def open_end(self) -> ProbedRate | None:
        """What was probed last, if too few requests told whether the server meets the objective there."""
        last = self.probed[-1] if self.probed else None
        return last if last and last.decision is Decision.OPEN and not last.client_limit else None

    @property
    def client_limit(self) -> ProbedRate | None:
        """What is beyond the answer, if it was the client that could not go on."""
        return self.beyond if self.beyond and self.beyond.client_limit else None

    @property
    def met_rate(self) -> float | None:
        """The highest rate that met the objective with none at or below it that did not, confirmed or not."""
        lowest = min((each.rate for each in self.probed if not each.met), default=math.inf)
        return max((each.rate for each in self.probed if each.met and each.rate < lowest), default=None)
