from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from loadtest.host import HostWatch, process_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

_USED_SECONDS = 0.3


@contextlib.contextmanager
def _busy() -> Iterator[int]:
    """A process that uses all the CPU time that it gets."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def _wait_until_used(pid: int) -> None:
    while (process_cpu_seconds(pid) or 0.0) < _USED_SECONDS:
        os.sched_yield()


def test_only_the_processes_that_are_named_are_looked_at() -> None:
    """A server that is another child of this process uses no CPU time of the senders."""
    with _busy() as server:
        watch = HostWatch([])
        _wait_until_used(server)

        assert watch.busiest_cpu() == 0


def test_the_busiest_of_several_is_told() -> None:
    """Four processes that share the cores are not as busy as all of them: none of them has more than one core."""
    with _busy() as first, _busy() as second, _busy() as third, _busy() as fourth:
        pids = [first, second, third, fourth]
        watch = HostWatch(pids)
        for pid in pids:
            _wait_until_used(pid)

        assert 0 < watch.busiest_cpu() < 1.2
