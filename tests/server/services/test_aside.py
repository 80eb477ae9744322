from __future__ import annotations

import asyncio
import threading

import pytest

from server.services.aside import Aside


async def test_gives_what_the_function_gives() -> None:
    """Its result or its error, from another thread than the event loop's."""
    aside = Aside()
    assert await aside.run(divmod, 7, 2) == (3, 1)
    assert await aside.run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await aside.run(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_caller_that_leaves_is_held_until_its_work_has_ended(
    caplog: pytest.LogCaptureFixture,
    fails: bool,  # noqa: FBT001 - a parameter
) -> None:
    """What it holds, it holds that long; of an error that nobody waits for any more nothing is told."""
    aside, begun, gate = Aside(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait()
        if fails:
            raise ValueError

    leaving = asyncio.create_task(aside.run(work))
    await asyncio.to_thread(begun.wait)
    leaving.cancel()
    done, _ = await asyncio.wait({leaving}, timeout=0.05)
    assert not done
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not caplog.messages


async def test_a_caller_that_leaves_before_its_turn_costs_nothing() -> None:
    """Work that has not begun does not begin any more, and its caller is gone at once."""
    aside, gate, begun = Aside(), threading.Event(), []
    first = asyncio.create_task(aside.run(gate.wait))
    second = asyncio.create_task(aside.run(begun.append, 2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await aside.run(begun.append, 3)
    assert begun == [3]
