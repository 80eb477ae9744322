from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from server.errors import ModelFailed
from server.services.delivery import Delivery


async def test_results_and_errors_arrive() -> None:
    """A future's end, good or bad, is what awaiting it gives."""
    delivery = Delivery()
    good, bad = Future[str](), Future[str]()
    waiting = [asyncio.ensure_future(delivery.result(future)) for future in (good, bad)]
    await asyncio.sleep(0)
    good.set_result("a")
    bad.set_exception(ValueError("b"))
    assert await waiting[0] == "a"
    with pytest.raises(ValueError, match="b"):
        await waiting[1]


async def test_what_is_resolved_already_arrives() -> None:
    """A future may be resolved before anybody awaits it."""
    future = Future[str]()
    future.set_result("a")
    assert await Delivery().result(future) == "a"


async def test_a_batch_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Futures that are resolved together are delivered together."""
    loop, wakes = asyncio.get_running_loop(), []
    call_soon_threadsafe = loop.call_soon_threadsafe

    def counted(callback: Any, *arguments: Any) -> asyncio.Handle:
        wakes.append(callback)
        return call_soon_threadsafe(callback, *arguments)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    delivery, futures = Delivery(), [Future[int]() for _ in range(8)]
    waiting = [asyncio.ensure_future(delivery.result(future)) for future in futures]
    for _ in range(2):  # and once more for those that come later
        await asyncio.sleep(0)
        for number, future in enumerate(futures[:4]):
            future.set_result(number)
        assert [await task for task in waiting[:4]] == [0, 1, 2, 3]
        del futures[:4], waiting[:4]
    assert len(wakes) == 2


async def test_cancelling_the_wait_cancels_the_future() -> None:
    """Who stops waiting gives up the request, and a late answer is no error."""
    delivery, pending, running = Delivery(), Future[str](), Future[str]()
    running.set_running_or_notify_cancel()
    waiting = [asyncio.ensure_future(delivery.result(future)) for future in (pending, running)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pending.cancelled()
    assert not running.cancelled()
    running.set_result("late")
    await asyncio.sleep(0)


async def test_a_future_that_somebody_else_cancels_says_so() -> None:
    """Whoever waits learns that the future was cancelled, and is not cancelled itself."""
    future = Future[str]()
    waiting = asyncio.ensure_future(Delivery().result(future))
    await asyncio.sleep(0)
    future.cancel()
    with pytest.raises(CancelledError):
        await waiting


async def test_answers_of_many_threads_are_all_delivered() -> None:
    """Threads that resolve futures at the same time lose no wake-up, and mix no answers up."""
    delivery, futures = Delivery(), [Future[int]() for _ in range(2000)]

    def resolve(start: int) -> None:
        for number in range(start, len(futures), 4):
            futures[number].set_result(number)

    waiting = [asyncio.ensure_future(delivery.result(future)) for future in futures]
    await asyncio.sleep(0)
    threads = [threading.Thread(target=resolve, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    assert await asyncio.gather(*waiting) == list(range(2000))
    for thread in threads:
        thread.join()


async def test_nothing_is_kept_after_delivery() -> None:
    """Futures and their results are freed with their last reference."""
    delivery, future = Delivery(), Future[str]()
    future.set_result("a")
    trace = weakref.ref(future)
    gc.disable()
    try:
        await delivery.result(future)
        del future
        assert trace() is None
    finally:
        gc.enable()


async def test_nothing_is_kept_after_a_failure() -> None:
    """An error, whose trace knows all that waited for it, is freed with its last reference."""
    delivery, future = Delivery(), Future[str]()
    future.set_exception(ModelFailed("a"))
    gc.disable()
    try:
        waiting = asyncio.ensure_future(delivery.result(future))
        del future
        await asyncio.wait([waiting])
        trace = weakref.ref(waiting.exception() or waiting)
        del waiting
        assert trace() is None
    finally:
        gc.enable()
