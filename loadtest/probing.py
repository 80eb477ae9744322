"""One rate probed for as long as it takes to say whether it meets the objective, by a client that can be believed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

from loadtest import early_stopping
from loadtest.early_stopping import Decision
from loadtest.percentiles import rank
from loadtest.search_result import ProbedRate
from loadtest.validity import conditions, doubts

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.objective import Objective
    from loadtest.run import Run
    from loadtest.search_settings import SearchSettings

Probe: TypeAlias = "Callable[[float, float, int], Run]"
"""Makes a run of Poisson arrivals of a rate (requests a second), a length (seconds) and a seed."""

_TRIES = 3  # of a run that the client or its machine spoiled


class OutOfTime(Exception):  # noqa: N818 - nobody's mistake
    """The search's time does not allow another run; the message says what spoiled the last one, if something did."""


class _ClientLimit(Exception):  # noqa: N818 - it says whose limit it is
    """The client cannot measure a rate; what it would say of the server is not to be believed."""


class Prober:
    """Probes rates, one after another, each run with arrivals of its own, until the time is over."""

    def __init__(
        self,
        probe: Probe,
        objective: Objective,
        settings: SearchSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; the time begins now, on `clock`, in seconds."""
        self._probe = probe
        self._objective = objective
        self._settings = settings
        self._clock = clock
        self._end = clock() + settings.time_seconds
        self._seed = settings.seed
        self._spoiled = ""  # why the last run does not count

    def seconds_left(self) -> float:
        """Of the search's time."""
        return self._end - self._clock()

    def at(self, rate: float, purpose: str, *, confirm: bool = False) -> ProbedRate:
        """Probe a rate; `confirm` takes the length of a confirmation.

        Raises:
            OutOfTime: There is no time for it.
        """
        try:
            return self._decide(rate, purpose, confirm=confirm)
        except _ClientLimit as limit:
            return ProbedRate(rate, Decision.OPEN, 0, 0, purpose, str(limit))

    def _decide(self, rate: float, purpose: str, *, confirm: bool) -> ProbedRate:
        objective = self._objective
        seconds, most = self._settings.probe_seconds(rate, objective, confirm=confirm)
        spent, requests, misses, decision = 0.0, 0, 0, Decision.OPEN
        while decision is Decision.OPEN and spent < most:
            trace = self._believable_run(rate, min(seconds, most - spent)).trace
            spent += seconds
            requests, misses = requests + len(trace), misses + objective.misses(trace)
            decision = early_stopping.decide(requests, misses, objective.quantile, objective.confidence)
            if not objective.errors_within_bound(trace):
                decision = Decision.MISSED
        # With more late than may be it is missed, if not surely. With few it stays open: no promise, and no blame.
        if decision is Decision.OPEN and requests - misses < rank(requests, objective.quantile):
            decision = Decision.MISSED
        return ProbedRate(rate, decision, requests, misses, purpose)

    def _believable_run(self, rate: float, seconds: float) -> Run:
        """Run until the client's own conditions hold.

        Raises:
            OutOfTime: There is no time for it.
            _ClientLimit: They did not hold, time after time.
        """
        if rate > self._settings.most_rate:
            raise _ClientLimit(f"it reports on at most {self._settings.most_rate:.0f}/s, half of what it can send")
        for _ in range(_TRIES):
            if seconds > self.seconds_left():
                raise OutOfTime(self._spoiled)
            run = self._probe(rate, seconds, self._seed)
            self._seed += 1
            self._spoiled = "; ".join(doubts(conditions(run, self._objective)))
            if not self._spoiled:
                return run
        raise _ClientLimit(self._spoiled)
