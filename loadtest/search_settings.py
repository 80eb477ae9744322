"""How to search for the rate that a deployment carries, and how long its parts take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.objective import Objective

GUARDED = ((0.78, 0.92), (0.62, 0.78))
"""Ranges below the answer, relative to it, in each of which a rate has to meet the objective, too."""
_MARGIN = 2.0  # requests of a probe, relative to the least that could show the objective
_LONGER = 2.0  # how many times as long a probe may become that stays open
_DEVIATIONS = 3.0  # of a Poisson process, by which fewer requests may come than are expected
_SPARE = 1.1  # of a time that is proposed, as the warm-up does not end to the second
_BESIDE_SECONDS = 3.0  # what a run takes beside its length: its lead, and its last answers


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes:
        first_rate: Where to begin, requests a second.
        lowest_rate: Nothing is searched below it: the least that a deployment has to carry.
        most_rate: The highest rate that the client reports on; beyond it nothing is sent.
        resolution: Highest ratio of the lowest rate that misses to the highest that meets, above 1.
        least_seconds: The length of a probe where its rate does not ask for a longer one.
        most_seconds: The longest that one rate is probed; one that is open even then has not met the objective.
        confirmations: Runs with fresh seeds at the answer, each of which must meet the objective.
        confirm_seconds: The least length of these.
        time_seconds: For the whole search; within it, the answer is confirmed or there is none.
        before_seconds: What of the user's time is gone by then, for warm-up and peak: only to tell which is enough.
        seed: The first probe's; the others count on from it.
    """

    first_rate: float
    lowest_rate: float = 0.5
    most_rate: float = math.inf
    resolution: float = 1.05
    least_seconds: float = 10.0
    most_seconds: float = 120.0
    confirmations: int = 3
    confirm_seconds: float = 30.0
    time_seconds: float = 1200.0
    before_seconds: float = 0.0
    seed: int = 0

    def probe_seconds(self, rate: float, objective: Objective, *, confirm: bool = False) -> tuple[float, float]:
        """How long a rate is probed at first, and how long at most where that leaves it open."""
        least = self.confirm_seconds if confirm else self.least_seconds
        seconds = min(max(least, _MARGIN * objective.least_requests / rate), self.most_seconds)
        return seconds, min(_LONGER * seconds, self.most_seconds)

    def find_seconds(self, rate: float, objective: Objective) -> float:
        """How long one probe takes, all in all, that is not made longer."""
        return self.probe_seconds(rate, objective)[0] + _BESIDE_SECONDS

    def guard_rate(self, rate: float, low: float, high: float) -> float | None:
        """The rate to probe in one of the ranges below `rate`; None where nothing is searched there."""
        middle = math.sqrt(low * high) * rate
        return middle if middle > self.lowest_rate else None

    def confirm_all_seconds(self, rate: float, objective: Objective) -> float:
        """Likewise all confirmations of an answer."""
        seconds, _ = self.probe_seconds(rate, objective, confirm=True)
        return self.confirmations * (seconds + _BESIDE_SECONDS)

    def secure_seconds(self, rate: float, objective: Objective) -> float:
        """Likewise all that makes an answer of a rate that met the objective: guards and confirmations."""
        guards = (self.guard_rate(rate, *each) for each in GUARDED)
        guarded = sum(self.find_seconds(each, objective) for each in guards if each is not None)
        return guarded + self.confirm_all_seconds(rate, objective)


def check_time(objective: Objective, settings: SearchSettings) -> float:
    """The lowest rate at which the time for one rate is enough to show the objective, requests a second.

    Raises:
        ValueError: The search would begin below it, or the time is not enough for a single rate, guarded and confirmed.
    """
    least = objective.least_requests
    needed = _expected(least) / settings.most_seconds
    first = max(settings.first_rate, settings.lowest_rate)
    name = f"p{100 * objective.quantile:g}"
    if first < needed:
        raise ValueError(
            f"{settings.most_seconds:g} s at {first:.3g}/s cannot show {name}: it takes {least} requests, which are "
            f"sure to arrive at {math.ceil(100 * needed) / 100:g}/s"
        )
    seconds = settings.find_seconds(first, objective) + settings.secure_seconds(first, objective)
    if seconds > settings.time_seconds:
        at = f" at {first:.3g}/s" if math.isfinite(first) else ""
        raise ValueError(
            f"probes and {settings.confirmations} confirmations of {name} take {seconds:.0f} s{at}, and there are "
            f"{max(0.0, settings.time_seconds):.0f} s for them{_enough(seconds, settings, known=bool(at))}; see also "
            "--confirm and --confirmations"
        )
    return needed


def _expected(least: int) -> float:
    """How many arrivals to expect so that `least` come in spite of three deviations: n - 3 sqrt(n) = `least`.

    Where as many are expected as it takes, fewer come every other time.
    """
    return ((_DEVIATIONS + math.sqrt(_DEVIATIONS**2 + 4 * least)) / 2) ** 2


def _enough(seconds: float, settings: SearchSettings, *, known: bool) -> str:
    """Where the rest of the user's time goes, and which time is enough, or may be where the rate is not known."""
    before = settings.before_seconds
    rest = f", as the warm-up and, without --rate, the look for the peak take {before:.0f} s" if before else ""
    return f"{rest}: --time {math.ceil(_SPARE * (before + seconds))}s {'is' if known else 'may be'} enough"
