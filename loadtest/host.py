"""The machine that the load comes from: who had its cores meanwhile, and which cores belong to whom."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil


class HostWatch:
    """Looks at the machine from its construction on."""

    def __init__(self) -> None:
        self._times = psutil.cpu_times()
        self._children = _children_cpu_seconds()
        self._looked = time.perf_counter()

    def steal(self) -> float:
        """The share of all CPU time since then that the machine's own host gave to others; 0 where it is unknown."""
        now = psutil.cpu_times()
        total = sum(now) - sum(self._times)
        stolen = getattr(now, "steal", 0.0) - getattr(self._times, "steal", 0.0)
        return stolen / total if total > 0 else 0.0

    def children_cpu(self) -> float:
        """CPU share of this process's children since the last look; 1.0 is a whole core."""
        now, cpu = time.perf_counter(), _children_cpu_seconds()
        share = (cpu - self._children) / max(now - self._looked, 1e-9)
        self._looked, self._children = now, cpu
        return max(0.0, share)


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


def _children_cpu_seconds() -> float:
    total = 0.0
    for child in psutil.Process().children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def pin_process(pid: int, cpus: frozenset[int]) -> None:
    """Bind all threads of a process to `cpus`.

    Raises:
        OSError: There is no such process, it is somebody else's, or there are no such cores.
    """
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)
