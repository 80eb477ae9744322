"""The highest rate at which an objective is met: probed, narrowed down, and confirmed with arrivals not seen before.

A probe has three answers (`early_stopping.Decision`): one that is open is made longer, and one that stays open counts
as missed, since a promise must be shown. MLPerf's LoadGen finds its peak by bisection alone and trusts every probe
(loadgen/loadgen.cc, FindPeakPerformance), although one at a lower rate may miss what a higher one met; here rates below
the answer are probed, too. Waits of neighbours in a queue are alike, so that short probes err more than their numbers
of requests say: the confirmations are longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from loadtest import early_stopping
from loadtest.early_stopping import Decision
from loadtest.validity import conditions

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.objective import Objective
    from loadtest.run import Run

Probe: TypeAlias = "Callable[[float, float, int], Run]"
"""Makes a run of Poisson arrivals of a rate (requests a second), a length (seconds) and a seed."""

_GUARDS = (0.85, 0.7)  # rates below the answer, relative to it, that have to meet the objective, too
_STEP_DOWN = 0.95  # after a confirmation that failed
_TRIES = 3  # of a run that the client or its machine spoiled
# Conditions that a run need not hold: what could not be sent because too many waited is the server's miss; and where a
# server misses even without the client's lag, that lag changes nothing.
_FORGIVEN = ("offered", "client lag")
_MARGIN = 2.0  # requests of a probe, relative to the least that could show the objective


class ClientLimit(Exception):  # noqa: N818 - it says whose limit it is
    """The client cannot measure a rate; what it would say of the server is not to be believed."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes:
        first_rate: Where to begin, requests a second.
        lowest_rate: Nothing is searched below it: the least that a deployment has to carry.
        resolution: Highest ratio of the lowest rate that misses to the highest that meets, above 1.
        least_seconds: The length of a probe where its rate does not ask for a longer one.
        most_seconds: The longest that one rate is probed before it counts as missed.
        confirmations: Runs with fresh seeds at the answer, each of which must meet the objective.
        confirm_seconds: The least length of these.
        seed: The first probe's; the others count on from it.
    """

    first_rate: float
    lowest_rate: float = 0.5
    resolution: float = 1.05
    least_seconds: float = 10.0
    most_seconds: float = 120.0
    confirmations: int = 3
    confirm_seconds: float = 60.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ProbedRate:
    """What was found at one rate, in the order of probing.

    Attributes:
        rate: Requests a second.
        decision: Whether the objective is met; never open.
        requests: That were sent, over all runs at this rate.
        misses: Requests among them that were not answered rightly within the limit.
        purpose: "find", "guard" or "confirm".
    """

    rate: float
    decision: Decision
    requests: int
    misses: int
    purpose: str


@dataclass(slots=True)
class SearchResult:
    """The answer.

    Attributes:
        rate: The highest rate that was confirmed; None when even the lowest one missed, or the search did not end.
        missed_rate: The lowest rate above it that missed; None when there was none.
        probed: All rates in the order in which they were probed.
    """

    rate: float | None = None
    missed_rate: float | None = None
    probed: list[ProbedRate] = field(default_factory=list)


def check_time(objective: Objective, settings: SearchSettings) -> float:
    """The lowest rate at which the time for one rate is enough to show the objective, requests a second.

    Raises:
        ValueError: The search would begin below it.
    """
    needed = objective.least_requests / settings.most_seconds
    first = max(settings.first_rate, settings.lowest_rate)
    if first < needed:
        raise ValueError(
            f"{settings.most_seconds:g} s at {first:.3g}/s cannot show p{100 * objective.quantile:g}: it takes "
            f"{objective.least_requests} requests, at least {needed:.3g}/s"
        )
    return needed


class Search:
    """One search; `result` can be read at any time, also after an interruption."""

    def __init__(
        self,
        probe: Probe,
        objective: Objective,
        settings: SearchSettings,
        tell: Callable[[ProbedRate], None] = lambda _probed: None,
    ) -> None:
        """Prepare, and send nothing yet; `tell` hears of every rate that has been probed.

        Raises:
            ValueError: See `check_time`.
        """
        self.result = SearchResult()
        self._tell = tell
        self._probe = probe
        self._objective = objective
        self._settings = settings
        self._lowest_rate = max(settings.lowest_rate, check_time(objective, settings))
        self._seed = settings.seed

    def run(self) -> SearchResult:
        """Search to the end.

        Raises:
            ClientLimit: The client cannot measure a rate that has to be probed.
        """
        met, missed = self._bracket(self._settings.first_rate)
        while met is not None:
            met = self._narrow(met, missed)
            if (low := self._first_guard_that_misses(met)) is not None:
                met, missed = self._bracket(low * _STEP_DOWN, missed=low)
            elif self._confirmed(met):
                self.result.rate = met
                return self.result
            else:
                self.result.missed_rate = met
                met, missed = self._bracket(met * _STEP_DOWN, missed=met)
        return self.result

    def _bracket(self, rate: float, missed: float | None = None) -> tuple[float | None, float | None]:
        """A rate that meets the objective and a higher one that misses it; no first one if even the lowest misses."""
        rate = max(rate, self._lowest_rate)
        while not self._meets(rate, "find"):
            missed = rate
            if rate == self._lowest_rate:
                return None, missed
            rate = max(rate / 2, self._lowest_rate)
        while missed is None:
            if self._meets(2 * rate, "find"):
                rate *= 2
            else:
                missed = 2 * rate
        return rate, missed

    def _narrow(self, met: float, missed: float | None) -> float:
        """Bisect, in logarithms, until the two rates are close; the higher one is noted."""
        while missed is not None and missed / met > self._settings.resolution:
            middle = math.sqrt(met * missed)
            if self._meets(middle, "find"):
                met = middle
            else:
                missed = middle
        self.result.missed_rate = missed
        return met

    def _first_guard_that_misses(self, rate: float) -> float | None:
        rates = (rate * share for share in _GUARDS if rate * share > self._lowest_rate)
        return next((low for low in rates if self._surely_misses(low)), None)

    def _surely_misses(self, rate: float) -> bool:
        """Whether a rate misses twice: one unlucky clump of arrivals shall not undo what was found above it."""
        return not self._meets(rate, "guard") and not self._meets(rate, "guard", self._settings.confirm_seconds)

    def _confirmed(self, rate: float) -> bool:
        return all(
            self._meets(rate, "confirm", self._settings.confirm_seconds) for _ in range(self._settings.confirmations)
        )

    def _meets(self, rate: float, purpose: str, least_seconds: float = 0.0) -> bool:
        """Probe one rate for as long as it takes, or may take."""
        objective, most = self._objective, self._settings.most_seconds
        seconds = min(max(least_seconds, self._settings.least_seconds, _MARGIN * objective.least_requests / rate), most)
        spent, requests, misses, decision = 0.0, 0, 0, Decision.OPEN
        while decision is Decision.OPEN and spent < most:
            trace = self._believable_run(rate, min(seconds, most - spent)).trace
            spent += seconds
            requests, misses = requests + len(trace), misses + objective.misses(trace)
            decision = early_stopping.decide(requests, misses, objective.quantile, objective.confidence)
            if not objective.errors_within_bound(trace):
                decision = Decision.MISSED
        decision = Decision.MET if decision is Decision.MET else Decision.MISSED
        self.result.probed.append(ProbedRate(rate, decision, requests, misses, purpose))
        self._tell(self.result.probed[-1])
        return decision is Decision.MET

    def _believable_run(self, rate: float, seconds: float) -> Run:
        """Run until the client's own conditions hold.

        Raises:
            ClientLimit: They did not, time after time.
        """
        for _ in range(_TRIES):
            run = self._probe(rate, seconds, self._seed)
            self._seed += 1
            forgiven = _FORGIVEN if self._missed_when_sent(run) else _FORGIVEN[:1]
            found = conditions(run, self._objective)
            spoiled = [item.text for item in found if not item.valid and item.name not in forgiven]
            if not spoiled:
                return run
        raise ClientLimit(f"at {rate:.4g}/s: {'; '.join(spoiled)}")

    def _missed_when_sent(self, run: Run) -> bool:
        """Whether the objective is missed even from the instants at which requests left, late or not."""
        objective = self._objective
        late = int(np.count_nonzero(~(run.trace.service_seconds <= objective.limit_seconds)))
        decision = early_stopping.decide(len(run.trace), late, objective.quantile, objective.confidence)
        return decision is Decision.MISSED
