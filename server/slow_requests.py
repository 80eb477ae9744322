"""The requests that somebody on call wants to see: the slowest of the last minutes, and the latest failures."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.observed_request import Breakdown

_MINUTES = 10
_SLOWEST_PER_MINUTE = 10
_FAILURES_PER_REASON = 5


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """A request that has ended."""

    finished: float  # Unix time, in seconds
    request_id: str  # the caller's; cut when long
    model: str
    version: str
    method: str  # service/method
    code: str  # the gRPC code's name
    reason: str  # as coordserve_rejected_total counts it; empty when the request was answered
    batch_size: int  # rows of the batch it was in; 0 when it was in none
    breakdown: Breakdown
    trace_id: str = ""  # hexadecimal, as that of its span; empty where it is in no trace
    span_id: str = ""


class SlowRequests:
    """Of each of the last ten minutes the ten slowest answers; of each reason the last five failures.

    A flood of one kind of failure so hides no other. For the event loop alone: nothing here has a lock. `clock` gives
    seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minute = -1
        self._order = itertools.count()  # decides between equals, which heaps would compare
        self._minutes: deque[tuple[int, list[tuple[float, int, RequestSummary]]]] = deque(maxlen=_MINUTES)
        self._failures: dict[str, deque[RequestSummary]] = {}

    def is_among_slowest(self, total_ms: float) -> bool:
        """Whether an answer that took so long would be kept; asked of every request, so it is quick."""
        slowest = self._this_minute()
        return len(slowest) < _SLOWEST_PER_MINUTE or total_ms > slowest[0][0]

    def add(self, request: RequestSummary) -> None:
        """Keep an answer, if it is among the slowest of this minute, or a failure."""
        if request.reason:
            self._failures.setdefault(request.reason, deque(maxlen=_FAILURES_PER_REASON)).append(request)
            return
        slowest = self._this_minute()
        heapq.heappush(slowest, (request.breakdown.total_ms, next(self._order), request))
        if len(slowest) > _SLOWEST_PER_MINUTE:
            heapq.heappop(slowest)

    def slowest(self, count: int = 20) -> list[RequestSummary]:
        """The slowest answers of the last ten minutes, the slowest first."""
        oldest = self._clock() // 60 - _MINUTES
        kept = [each for minute, slowest in self._minutes if minute > oldest for each in slowest]
        return [request for _, _, request in heapq.nlargest(count, kept)]

    def failures(self) -> list[RequestSummary]:
        """The latest failures, the last one first."""
        kept = itertools.chain.from_iterable(self._failures.values())
        return sorted(kept, key=lambda request: request.finished, reverse=True)

    def _this_minute(self) -> list[tuple[float, int, RequestSummary]]:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute = minute
            self._minutes.append((minute, []))
        return self._minutes[-1][1]
