"""The page's numbers: sampled once a second in one task, however many look at them, and kept for five minutes."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from statistics import median
from typing import TYPE_CHECKING, Any

from server.live.host import Host
from server.live.point import model_rows, point, request_row, summary
from server.live.reading import ModelReading, Reading, between
from server.live.verdict import Situation, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from server.live.reading import Activity
    from server.live.verdict import Phase
    from server.model_states import IndexEntry
    from server.repository import ModelRepository
    from server.slow_requests import SlowRequests

HISTORY_SECONDS = 300
# What "now" means in figures and rules: long enough for a p99 to mean something, short enough to notice at once.
WINDOW_SECONDS = 10
_SLOWEST, _FAILURES = 6, 6
# What is usual is told by what is older than this.
_RECENT_SECONDS = 30
_COMPUTE = 2  # among STAGES


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
        self._compute: deque[float] = deque(maxlen=HISTORY_SECONDS)
        self._resident: deque[int] = deque(maxlen=HISTORY_SECONDS)
        self._succeeded = 0
        self._number = 0
        self._now = "null"

    async def run(self, executor: Executor, interval_seconds: float = 1.0) -> None:
        """Sample until cancelled; what asks the system runs in `executor`."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval_seconds)
            self.add(*await loop.run_in_executor(executor, self._read))

    def _read(self) -> tuple[Reading, list[IndexEntry]]:
        models = [ModelReading.of(model) for model in self._repository.ready()]
        reading = Reading(models, Counter(self._refused), self._host.read(), self._take_lag())
        return reading, self._repository.index()

    def add(self, now: Reading, index: list[IndexEntry]) -> None:
        """Take one more reading."""
        self._readings.append(now)
        if len(self._readings) == 1:
            return  # a beginning to count from
        second = between(self._readings[-2], now)
        window = between(self._readings[0], now)
        self._number += 1
        self._succeeded += second.asked.succeeded
        self._remember(second, now)
        told = point(second, window, now) | {"number": self._number, "time": round(time.time(), 1)}
        self._points.append((self._number, json.dumps(told, separators=(",", ":"))))
        self._now = json.dumps(self._current(window, now, index))

    def _remember(self, second: Activity, now: Reading) -> None:
        """Keep what the rules compare with."""
        if compute := second.asked.mean_stages().get("compute"):
            self._compute.append(compute)
        if {model.statistics for model in now.models} != {model.statistics for model in self._readings[-2].models}:
            self._resident.clear()  # models take memory of their own
            self._compute.clear()
        self._resident.append(now.host.resident_bytes)

    def _current(self, window: Activity, now: Reading, index: list[IndexEntry]) -> dict[str, Any]:
        findings = judge(
            Situation(
                phase=self._phase(),
                index=index,
                ended=self._repository.ended(),
                activity=window,
                objective_seconds=self._about["objective"],
                cores=self._about["cores"],
                lag_seconds=max(reading.lag_seconds for reading in self._readings),
                resident_bytes=list(self._resident),
                usual_compute_seconds=self._usual_compute(),
            )
        )
        return {
            "findings": [{"level": f.level.name.lower(), "title": f.title, "reason": f.reason} for f in findings],
            "summary": summary(window, now),
            "models": model_rows(index, window),
            "slowest": [request_row(request) for request in self._slow.slowest(_SLOWEST)],
            "failures": [request_row(request) for request in self._slow.failures()[:_FAILURES]],
            "succeeded": self._succeeded,
            "refused": {reason: count for reason, count in now.refused.items() if count},
        }

    def _usual_compute(self) -> float | None:
        """What an answer's compute took, before lately; None while that is not known."""
        before = list(self._compute)[:-_RECENT_SECONDS]
        return median(before) if before else None

    def document(self, since: int = 0) -> str:
        """What is known now, and the points after number `since`, in JSON."""
        fresh = ",".join(text for number, text in self._points if number > since)
        about = json.dumps(self._about)
        return f'{{"about":{about},"now":{self._now},"points":[{fresh}]}}'
