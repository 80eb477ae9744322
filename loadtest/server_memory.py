"""The server's memory over a long run: from its metrics, again and again, and whether it grows."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WHOSE = {
    "process_resident_memory_bytes": "the server's memory",  # this server, and whatever uses a Prometheus library
    "nv_cpu_memory_used_bytes": "the memory of the server's machine",  # Triton, which tells no less than the whole
}
_TIMEOUT_SECONDS = 5.0
_LOOKS = 100  # in a run
_LEAST_PAUSE_SECONDS = 0.5
_SETTLED = 0.25  # of a run: until then caches and allocators fill
_MOST_GROWTH = 0.1  # of the memory at the begin, in an hour
_NOISE_BYTES = 16 << 20  # an allocator takes and gives back as much at once


@dataclass(frozen=True, slots=True)
class MemoryMetric:
    """Where the server tells how much memory it has.

    Attributes:
        url: Of its metrics.
        name: The metric's.
    """

    url: str
    name: str

    def read(self) -> float:
        """Bytes, now.

        Raises:
            ValueError: It does not tell; the message is one line.
        """
        found = _read(self.url)
        if self.name not in found:
            raise ValueError(f"{self.url} no longer tells {self.name}")
        return found[self.name]


def find_metric(url: str) -> MemoryMetric:
    """The metric in which the server at `url` tells its memory.

    Raises:
        ValueError: It cannot be read, or does not tell it.
    """
    found = _read(url)
    return MemoryMetric(url, next(name for name in _WHOSE if name in found))


def _read(url: str) -> dict[str, float]:
    """The metrics about memory by their names, those that tell nothing yet left out; at least one."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as page:  # noqa: S310 - http, see arguments.py
            families = list(text_string_to_metric_families(page.read().decode()))
    except http.client.HTTPException as error:
        raise ValueError(f"{url}: no metrics can be read there: is it the server's HTTP address?") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{url}: no metrics can be read there: {error}") from error
    found = {family.name: sum(sample.value for sample in family.samples) for family in families}
    found = {name: value for name, value in found.items() if name in _WHOSE and value > 0}
    if not found:
        raise ValueError(f"{url} tells no memory: it has none of {', '.join(_WHOSE)}")
    return found


@dataclass(slots=True)
class MemoryWatch:
    """What was seen of the server's memory.

    Attributes:
        metric: Where.
        seconds: Of each look, since the first.
        bytes: What it told.
    """

    metric: MemoryMetric
    seconds: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)

    def look(self, now: float) -> None:
        """Look once; a server that does not answer in time is looked at later."""
        with contextlib.suppress(ValueError):
            self.bytes.append(self.metric.read())
            self.seconds.append(now)

    def findings(self) -> dict[str, Any]:
        """Numbers for the summary: at the begin, at the end, its growth in an hour, and how much of that is allowed.

        The growth is None where it is too little and the run too short to tell it; `least_seconds` would tell.
        """
        if len(self.bytes) < 2:  # noqa: PLR2004 - a growth has two ends
            return {"metric": self.metric.name, "begin_bytes": None, "seconds": self.seconds, "bytes": self.bytes}
        growth, most = _growth_per_hour(np.array(self.seconds), np.array(self.bytes)), _MOST_GROWTH * self.bytes[0]
        hours = (self.seconds[-1] - self.seconds[0]) / 3600
        return {
            "metric": self.metric.name,
            "begin_bytes": self.bytes[0],
            "end_bytes": self.bytes[-1],
            "growth_bytes_per_hour": growth if max(growth, most) * hours > _NOISE_BYTES else None,
            "most_growth_bytes_per_hour": most,
            "least_seconds": _NOISE_BYTES / most * 3600,
            "grows": growth > most and growth * hours > _NOISE_BYTES,
            "seconds": self.seconds,
            "bytes": self.bytes,
        }


def whose(metric: str) -> str:
    """Which memory a metric tells, in words."""
    return _WHOSE[metric]


def memory_misses(found: dict[str, Any]) -> list[str]:
    """Why a server with these findings cannot go on like that."""
    if not found.get("grows"):
        return []
    growth, most = (found[name] / 1e6 for name in ("growth_bytes_per_hour", "most_growth_bytes_per_hour"))
    text = f"{growth:,.0f} MB an hour; at most {most:,.0f}, a tenth of that at the begin"
    return [f"{whose(found['metric'])} grows by {text}"]


def _growth_per_hour(seconds: np.ndarray, amounts: np.ndarray) -> float:
    """The slope of a straight line through what was seen after the first quarter."""
    settled = seconds >= seconds[0] + _SETTLED * (seconds[-1] - seconds[0])
    settled[-2:] = True
    return float(np.polyfit(seconds[settled], amounts[settled], 1)[0]) * 3600


@contextlib.contextmanager
def watching(
    metric: MemoryMetric, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[MemoryWatch]:
    """Look at the server's memory about a hundred times in `seconds`, at the begin and at the end."""
    watch, stop, start = MemoryWatch(metric), threading.Event(), clock()
    watch.look(0.0)

    def repeat() -> None:
        while not stop.wait(max(_LEAST_PAUSE_SECONDS, seconds / _LOOKS)):
            watch.look(clock() - start)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.look(clock() - start)
