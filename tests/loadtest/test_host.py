from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from loadtest.host import HostWatch, pinned, process_cpu_seconds

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


def test_what_a_server_has_started_is_bound_with_it() -> None:
    """A server that computes in processes of its own, as Triton's backends do, has no other cores for so long."""
    core = min(os.sched_getaffinity(0))
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()  # from the child
        [child] = psutil.Process(server.pid).children()
        with pinned(server.pid, frozenset({core})):
            assert [os.sched_getaffinity(pid) for pid in (server.pid, child.pid)] == [{core}] * 2
        assert [os.sched_getaffinity(pid) for pid in (server.pid, child.pid)] == [os.sched_getaffinity(0)] * 2
        server.communicate(b"\n")


def test_a_process_that_is_not_there_cannot_be_bound() -> None:
    """It is an error of the system, as everything that is wrong with a process."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    with pytest.raises(ProcessLookupError), pinned(gone.pid, frozenset({0})):
        pass
