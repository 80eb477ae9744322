"""What a server answers at most: the peak, and how many callers it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.target import TargetError

if TYPE_CHECKING:
    from loadtest.run import Run
    from loadtest.session import Session

_CALLERS_PER_BATCH = 2
_MOST_CALLERS_AT_FIRST = 64  # more only wait longer, and past their deadlines where batches could be huge
_GROWTH = 1.05  # of the rate, with twice the callers: with less, the server has enough to do
_LOOK_SECONDS = 3.0
PEAK_SECONDS = 10.0
"""For how long `find_peak` counts answers, once there are enough callers."""
LEAST_SECONDS_TO_PEAK = 2 * _LOOK_SECONDS + PEAK_SECONDS
"""What `find_peak` takes where the first callers are enough."""


@dataclass(frozen=True, slots=True)
class Peak:
    """What a server answers at most.

    Attributes:
        rate: Requests a second.
        callers: That waited for them.
    """

    rate: float
    callers: int

    @property
    def findings(self) -> dict[str, Any]:
        """It as numbers of a scenario."""
        return {"peak_rate": self.rate, "peak_callers": self.callers}


def warm_up_closed(session: Session) -> None:
    """Settle with a short closed loop: no rate is known that the server carries."""
    session.discard(lambda: session.closed_loop(1, 2.0, label="warm-up"))


def find_peak(session: Session, seconds: float) -> Peak:
    """What the server answers when so many callers wait for it that more of them get no more answers.

    Args:
        session: What asks it.
        seconds: Of each look at whether there are enough of them, at most.

    Raises:
        TargetError: It answers none rightly.
    """
    warm_up_closed(session)
    run = session.closed_loop(enough_callers(session, seconds), PEAK_SECONDS, label="peak", judged=False)
    peak = Peak(_answered_rate(run), run.concurrency or 0)
    if not peak.rate:
        raise TargetError(f"no request was answered rightly in {PEAK_SECONDS:g} s in which callers waited for it")
    return peak


def enough_callers(session: Session, seconds: float) -> int:
    """How many callers the server needs: twice as many get hardly more answers, or are more than may be.

    `seconds` are those of each look, at most.
    """
    seconds = min(seconds, _LOOK_SECONDS)

    def look(callers: int) -> float:
        return _answered_rate(session.discard(lambda: session.closed_loop(callers, seconds, label="callers")))

    first = min(_CALLERS_PER_BATCH * session.target.models[0].images_per_request, _MOST_CALLERS_AT_FIRST)
    callers = min(first, session.most_in_flight)
    rate = look(callers)
    while callers < session.most_in_flight:
        more = min(2 * callers, session.most_in_flight)
        if (found := look(more)) <= _GROWTH * rate:
            break
        callers, rate = more, found
    return callers


def _answered_rate(run: Run) -> float:
    """Right answers a second; those that are in flight at the end are beyond what it answers in that time."""
    return float(np.count_nonzero(run.trace.ok & (run.trace.done <= run.seconds))) / run.seconds
