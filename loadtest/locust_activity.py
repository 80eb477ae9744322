"""What a process of Locust is doing right now."""

from __future__ import annotations

import time
from dataclasses import dataclass

_LEAST_SECONDS = 0.5  # in less, a moment's work looks like a busy core


@dataclass(frozen=True, slots=True)
class Activity:
    """What one or several processes are doing.

    Attributes:
        cpu: The highest share of a core that one of them has used since the last look at it.
        in_flight: Requests that were sent and have not ended.
    """

    cpu: float = 0.0
    in_flight: int = 0


class CpuMeter:
    """The CPU time of this process."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._then, self._before = self._start, self._at_start = time.perf_counter(), time.process_time()
        self._share = 0.0

    def share(self) -> float:
        """The share of a core that the process has used since the last call; what that gave, where it was just now."""
        now, used = time.perf_counter(), time.process_time()
        if now - self._then >= _LEAST_SECONDS:
            self._share = (used - self._before) / (now - self._then)
            self._then, self._before = now, used
        return self._share

    def mean(self) -> float:
        """The share of a core that the process has used since it was restarted."""
        return (time.process_time() - self._at_start) / max(time.perf_counter() - self._start, _LEAST_SECONDS)
