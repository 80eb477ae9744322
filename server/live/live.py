"""The page's numbers: sampled once a second in one task, however many look at them, and kept for five minutes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from server.live.host import Host
from server.live.past import Past
from server.live.point import model_rows, point, request_row, summary
from server.live.reading import ModelReading, Reading, between
from server.live.situation import Situation
from server.live.verdict import judge
from server.log_sampling import CauseLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from server.live.reading import Activity
    from server.live.situation import Phase
    from server.model_states import IndexEntry
    from server.repository import ModelRepository
    from server.slow_requests import SlowRequests

logger = logging.getLogger(__name__)

HISTORY_SECONDS = 300
# What "now" means in figures and rules: long enough for a p99 to mean something, short enough to notice at once.
WINDOW_SECONDS = 10
_SLOWEST, _FAILURES = 6, 6


class Live:
    """Samples a server; `document` is what the page reads.

    `refused` counts requests that failed by reason, `phase` tells where the server is in its life, `take_lag` how late
    the event loop has been since it was last asked; `about` are facts that never change, which the page shows.
    """

    def __init__(
        self,
        repository: ModelRepository,
        phase: Callable[[], Phase],
        refused: Mapping[str, int],
        slow: SlowRequests,
        take_lag: Callable[[], float],
        about: Mapping[str, Any],
    ) -> None:
        self._repository = repository
        self._phase = phase
        self._refused = refused
        self._slow = slow
        self._take_lag = take_lag
        self._host = Host()
        self._about = dict(about) | self._host.about() | {"started": time.time(), "history": HISTORY_SECONDS}
        self._readings: deque[Reading] = deque(maxlen=WINDOW_SECONDS + 1)
        self._points: deque[tuple[int, str]] = deque(maxlen=HISTORY_SECONDS)  # in JSON, as every page gets the same
        self._past = Past(HISTORY_SECONDS)
        self._succeeded = 0
        self._number = 0
        self._now = "null"
        self._causes = CauseLog(logger)

    async def run(self, executor: Executor, interval_seconds: float = 1.0) -> None:
        """Sample until cancelled; all but a moment of it happens in `executor`. A sample that fails is left out."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                lag_seconds, requests = self._take_lag(), self._requests()
                self._publish(*await loop.run_in_executor(executor, self._sample, lag_seconds, requests))
            except Exception as error:  # noqa: BLE001 - the next one may be good, and the page must not stand still
                self._causes.error("the live page misses a second", error)

    def add(self, now: Reading, index: Sequence[IndexEntry]) -> None:
        """Take one more reading of the server, of whose repository this is the index."""
        self._publish(*self._digest(now, index, self._requests()))

    def _requests(self) -> dict[str, Any]:
        """What only the event loop may ask for."""
        slowest, failures = self._slow.slowest(_SLOWEST), self._slow.failures()[:_FAILURES]
        return {"slowest": list(map(request_row, slowest)), "failures": list(map(request_row, failures))}

    def _sample(self, lag_seconds: float, requests: dict[str, Any]) -> tuple[str | None, str]:
        models = [ModelReading.of(model) for model in self._repository.ready()]
        reading = Reading(models, Counter(self._refused), self._host.read(), lag_seconds)
        # Not from the disk: one that does not answer must not hold up this thread, which Prometheus waits for, too.
        return self._digest(reading, self._repository.index(looks=False), requests)

    def _digest(self, now: Reading, index: Sequence[IndexEntry], requests: dict[str, Any]) -> tuple[str | None, str]:
        """The second that has ended, and what is known now, in JSON; a first reading is only to count from."""
        self._readings.append(now)
        if len(self._readings) == 1:
            return None, "null"
        second, window = between(self._readings[-2], now), between(self._readings[0], now)
        self._succeeded += second.asked.succeeded
        self._past.add(second, now.host.resident_bytes)
        told = point(second, window, now) | {"number": self._number + 1, "time": round(time.time(), 1)}
        current = {
            "findings": self._findings(window, index),
            "summary": summary(window, now),
            "models": model_rows(index, window),
            "succeeded": self._succeeded,
            "refused": {reason: count for reason, count in now.refused.items() if count},
        }
        return json.dumps(told, separators=(",", ":")), json.dumps(current | requests)

    def _findings(self, window: Activity, index: Sequence[IndexEntry]) -> list[dict[str, str]]:
        findings = judge(
            Situation(
                phase=self._phase(),
                index=index,
                ended=self._repository.ended(),
                activity=window,
                objective_seconds=self._about["objective"],
                cores=self._about["cores"],
                lag_seconds=max(reading.lag_seconds for reading in self._readings),
                resident_bytes=self._past.resident_bytes,
                usual_compute_seconds=self._past.usual_compute_seconds(),
            )
        )
        return [{"level": each.level.name.lower(), "title": each.title, "reason": each.reason} for each in findings]

    def _publish(self, second: str | None, now: str) -> None:
        """Let pages have it, in the thread in which they ask."""
        self._now = now
        if second:
            self._number += 1
            self._points.append((self._number, second))

    def document(self, since: int = 0) -> str:
        """What is known now, and the points after number `since`, in JSON."""
        fresh = ",".join(text for number, text in self._points if number > since)
        about = json.dumps(self._about)
        return f'{{"about":{about},"now":{self._now},"points":[{fresh}]}}'
