"""The highest rate at which an objective is met: probed, narrowed down, and confirmed with arrivals not seen before.

A probe has three answers (`early_stopping.Decision`): one that is open is made longer, and one that stays open does not
meet the objective, as a promise must be shown. MLPerf's LoadGen finds its peak by bisection alone and trusts every
probe (loadgen/loadgen.cc, FindPeakPerformance), although one at a lower rate may miss what a higher one met; here rates
below the answer have to meet the objective, too. Waits of neighbours in a queue are alike, so that short probes err
more than their numbers of requests say: the confirmations are longer.

A rate that the client cannot measure bounds the search from above as one that misses does. The answer then is the
highest rate below it, and says that the deployment carries at least so much. Time bounds it, too: what
guards and confirmations take is kept, so that a rate is narrowed down less closely rather than not confirmed.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from loadtest.probing import OutOfTime, Prober
from loadtest.search_result import SearchResult
from loadtest.search_settings import GUARDED, check_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadtest.objective import Objective
    from loadtest.probing import Probe
    from loadtest.search_result import ProbedRate
    from loadtest.search_settings import SearchSettings

_ROUNDING = 1 + 1e-9


class Search:
    """One search; `result` can be read at any time, also after an interruption."""

    def __init__(
        self,
        probe: Probe,
        objective: Objective,
        settings: SearchSettings,
        tell: Callable[[ProbedRate], None] = lambda _probed: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare, and send nothing yet; the time begins.

        Args:
            probe: Offers a rate.
            objective: To be met.
            settings: How to search.
            tell: Hears of every rate that has been probed.
            clock: In seconds.

        Raises:
            ValueError: See `check_time`.
        """
        self.result = SearchResult()
        self._tell = tell
        self._objective = objective
        lowest = max(settings.lowest_rate, check_time(objective, settings))
        self._settings = replace(settings, lowest_rate=lowest)
        self._prober = Prober(probe, objective, settings, clock)
        self._confirmed = 0
        self._range: tuple[float | None, float | None] = (None, None)
        self._left_at_end = settings.time_seconds

    def run(self) -> SearchResult:
        """Search to the end, or until the time is over."""
        try:
            self._run()
        except OutOfTime as end:
            self.result.out_of_time, self.result.spoiled = True, str(end)
        return self.result

    def outlook(self) -> str:
        """Between which rates the answer is, and how long it takes on, for a person."""
        low, high = self._range
        between = f"{low:.4g}/s and more" if low and not high else f"{low or 0:.4g} to {high:.4g}/s" if high else ""
        left = self._prober.seconds_left()
        expected = f"about {_minutes(left - self._left_at_end)} min left, at most {_minutes(left)}"
        return f"{between}, {expected}" if between else expected

    def _run(self) -> None:
        met, beyond = self._bracket(self._settings.first_rate)
        while met is not None:
            met, beyond = self._narrow(met, beyond)
            failed = self._failed_guard(met) or self._failed_confirmation(met)
            if failed is None:
                self.result.rate, self.result.beyond = met, beyond
                self.result.out_of_time = not self._close(met, beyond)
                return
            met, beyond = self._below(failed)
        self.result.beyond = beyond

    def _bracket(self, rate: float, beyond: ProbedRate | None = None) -> tuple[float | None, ProbedRate | None]:
        """A rate that meets the objective and a higher one that does not; no first one if even the lowest does not."""
        rate = max(rate, self._settings.lowest_rate)
        while not (probed := self._probe(rate, "find")).met:
            beyond = probed
            if rate == self._settings.lowest_rate:
                return None, beyond
            rate = max(rate / 2, self._settings.lowest_rate)
            self._range = None, beyond.rate
        while beyond is None and self._time_to_look(2 * rate, rate):
            self._range = rate, None
            if (probed := self._probe(2 * rate, "find")).met:
                rate *= 2
            else:
                beyond = probed
        return rate, beyond

    def _narrow(self, met: float, beyond: ProbedRate | None) -> tuple[float, ProbedRate | None]:
        """Bisect, in logarithms, until the two rates are close."""
        while beyond is not None and not self._close(met, beyond):
            middle = math.sqrt(met * beyond.rate)
            if not self._time_to_look(middle, met):
                break
            self._range = met, beyond.rate
            if (probed := self._probe(middle, "find")).met:
                met = middle
            else:
                beyond = probed
        self._range = met, beyond.rate if beyond else None
        return met, beyond

    def _close(self, met: float, beyond: ProbedRate | None) -> bool:
        return beyond is not None and beyond.rate / met <= self._settings.resolution * _ROUNDING

    def _below(self, failed: ProbedRate) -> tuple[float | None, ProbedRate | None]:
        """A rate that meets the objective below one that turned out not to; what is known is not probed anew.

        None when there is none: the lowest rate has no second chance, as one could be had until chance confirms it.
        """
        known = max((rate for rate in self._met_rates() if rate < failed.rate), default=None)
        self._confirmed, self._range = 0, (known, failed.rate)
        if known or failed.rate == self._settings.lowest_rate:
            return known, failed
        return self._bracket(failed.rate / self._settings.resolution, failed)

    def _failed_guard(self, rate: float) -> ProbedRate | None:
        """A rate below the answer that does not meet the objective."""
        known = self._met_rates()
        for low, high in GUARDED:
            middle = self._settings.guard_rate(rate, low, high)
            if middle is not None and not any(low * rate <= each <= high * rate for each in known):
                # Twice, and longer: one unlucky clump of arrivals shall not undo what was found above it.
                probed = self._probe(middle, "guard")
                probed = probed if probed.met else self._probe(middle, "guard", confirm=True)
                if not probed.met:
                    return probed
        return None

    def _failed_confirmation(self, rate: float) -> ProbedRate | None:
        for number in range(self._settings.confirmations):
            self._confirmed = number
            if not (probed := self._probe(rate, "confirm", confirm=True)).met:
                return probed
        return None

    def _met_rates(self) -> set[float]:
        """Rates that met the objective whenever they were probed, guards' second chance included."""
        return _rates(self.result.probed, met=True) - _rates(
            (each for each in self.result.probed if each.purpose != "guard"), met=False
        )

    def _time_to_look(self, rate: float, met: float) -> bool:
        """Whether a probe of `rate` leaves the time to guard and to confirm it, or `met` if it misses."""
        settings, objective = self._settings, self._objective
        secure = max(settings.secure_seconds(each, objective) for each in (met, rate))
        return settings.find_seconds(rate, objective) + secure <= self._prober.seconds_left()

    def _probe(self, rate: float, purpose: str, *, confirm: bool = False) -> ProbedRate:
        self._left_at_end = max(0.0, self._prober.seconds_left() - self._expected_seconds(rate, purpose))
        probed = self._prober.at(rate, purpose, confirm=confirm)
        self.result.probed.append(probed)
        self._tell(probed)
        return probed

    def _expected_seconds(self, rate: float, purpose: str) -> float:
        """How long the search goes on from here if nothing unexpected comes."""
        settings, objective = self._settings, self._objective
        confirmations = settings.confirm_all_seconds(rate, objective)
        if purpose == "confirm":
            return confirmations * (1 - self._confirmed / settings.confirmations)
        low, high = self._range
        ratio = high / low if low and high else 2.0
        steps = math.log2(max(2.0, 2 * math.log(ratio) / math.log(settings.resolution)))
        return math.ceil(steps) * settings.find_seconds(rate, objective) + confirmations


def _rates(probed: Iterable[ProbedRate], *, met: bool) -> set[float]:
    return {each.rate for each in probed if each.met == met}


def _minutes(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02}"
