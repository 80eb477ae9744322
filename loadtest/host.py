"""The machine that the load comes from: who had its cores meanwhile, and which cores belong to whom."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class HostWatch:
    """Looks at the machine from its construction on, and at those of its processes that have one of `pids`."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = tuple(pids)
        self._times = psutil.cpu_times()
        self._used = self._cpu_seconds()
        self._looked = time.perf_counter()

    def steal(self) -> float:
        """The share of all CPU time since then that the machine's own host gave to others; 0 where it is unknown."""
        now = psutil.cpu_times()
        total = sum(now) - sum(self._times)
        stolen = getattr(now, "steal", 0.0) - getattr(self._times, "steal", 0.0)
        return stolen / total if total > 0 else 0.0

    def busiest_cpu(self) -> float:
        """CPU share of the busiest of the processes since the last look; 1.0 is a whole core."""
        now, used = time.perf_counter(), self._cpu_seconds()
        most = max((after - before for after, before in zip(used, self._used, strict=True)), default=0.0)
        share = most / max(now - self._looked, 1e-9)
        self._looked, self._used = now, used
        return max(0.0, share)

    def _cpu_seconds(self) -> list[float]:
        """Of each process, in their order; 0 where there is no such process any more."""
        return [_cpu_seconds_alone(pid) for pid in self._pids]


def _cpu_seconds_alone(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def process_cpu_seconds(pid: int | None) -> float | None:
    """CPU time that a process and its descendants have used; None where it cannot be told."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.Error:
        return None
    return sum(each.user + each.system for each in times)


@contextlib.contextmanager
def pinned(pid: int, cpus: frozenset[int]) -> Iterator[None]:
    """Bind all threads of a process, and of those that it has started, to `cpus`; afterwards, to what they were bound.

    A thread that has come meanwhile gets what the process had, as it would have without this.

    Raises:
        OSError: There is no such process, it is somebody else's, or there are no such cores.
    """
    usual = os.sched_getaffinity(pid)
    before: dict[int, set[int]] = {}
    try:
        for thread in _threads(pid):
            with contextlib.suppress(ProcessLookupError):  # threads end at any time
                before[thread] = os.sched_getaffinity(thread)
                os.sched_setaffinity(thread, cpus)
        yield
    finally:
        for thread in _threads(pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, before.get(thread, usual))


def _threads(pid: int) -> Iterator[int]:
    """Those of a process and of all that it has started, as far as they are still there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from (thread.id for thread in each.threads())
