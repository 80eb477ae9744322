from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from server.daemon_thread import SharedCall, in_daemon_thread
from tests.serving import PATIENCE_SECONDS

HANGING = """
import asyncio, threading
from server.daemon_thread import in_daemon_thread

async def main():
    hanging = asyncio.create_task(in_daemon_thread(threading.Event().wait))
    await asyncio.wait({hanging}, timeout=0.1)
    print(hanging.done())

asyncio.run(main())
"""


async def test_gives_what_the_function_gives() -> None:
    """Its result or its error, without holding up the event loop."""
    assert await in_daemon_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(divmod, 7, 0)


async def test_nobody_has_to_wait() -> None:
    """A caller that leaves is gone at once."""
    gate = threading.Event()
    leaving = asyncio.create_task(in_daemon_thread(gate.wait))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.set()


def test_a_process_ends_whatever_hangs() -> None:
    """Python waits for other threads at its end, and would for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


async def test_who_asks_meanwhile_shares_the_next_call() -> None:
    """Nobody gets what was found before it asked, and there is one call at a time."""
    gates = [threading.Event() for _ in range(3)]
    begun = iter(enumerate(gates))

    def look() -> int:
        number, gate = next(begun)
        gate.wait()
        return number

    shared = SharedCall(look)
    first = asyncio.create_task(shared())
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared()) for _ in range(5)]
    await asyncio.sleep(0)
    gates[0].set()
    gates[1].set()
    assert [await first, *[await other for other in others]] == [0, 1, 1, 1, 1, 1]


async def test_callers_of_what_hangs_leave_one_thread_behind() -> None:
    """However many come and leave, one call hangs, and it is shared again once it has ended."""
    gate, entered, begun = threading.Event(), threading.Event(), []

    def look() -> None:
        begun.append(threading.current_thread())
        entered.set()
        gate.wait()

    shared = SharedCall(look)
    for _ in range(10):
        caller = asyncio.create_task(shared())
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await asyncio.to_thread(entered.wait)
    assert len(begun) == 1
    gate.set()
    await shared()
    assert len(begun) == 2
