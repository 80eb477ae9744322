from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from server.services.streaming import answer_in_order
from tests.server.services.event_loop import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Work:
    """Answers that wait until the test lets them go, and a sender that tells how far it was read."""

    def __init__(self, count: int, at_once: int = 3) -> None:
        self.read: list[int] = []
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.gates = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self.requests_error: Exception | None = None
        self.answers = answer_in_order(self._requests(), self._answer, at_once)

    async def _requests(self) -> AsyncIterator[int]:
        for number in range(len(self.gates)):
            self.read.append(number)
            yield number
        if self.requests_error:
            raise self.requests_error

    async def _answer(self, number: int) -> str:
        self.started.append(number)
        try:
            outcome = await self.gates[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return f"answer {outcome}"

    def finish(self, *numbers: int) -> None:
        """Let these answers be given."""
        for number in numbers:
            self.gates[number].set_result(number)


def _tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_answers_come_in_the_order_of_the_requests() -> None:
    """A slow answer holds back the fast ones behind it, whatever the order in which they are ready."""
    work = Work(4, at_once=4)
    first = asyncio.ensure_future(anext(work.answers))
    await settle()
    work.finish(3, 1, 2)
    await settle()
    assert not first.done()
    work.finish(0)
    assert [await first, *[answer async for answer in work.answers]] == [f"answer {number}" for number in range(4)]
    assert not _tasks()


async def test_nothing_is_answered_with_nothing() -> None:
    """A stream without requests ends."""
    assert [answer async for answer in Work(0).answers] == []
    assert not _tasks()


async def test_only_so_many_are_under_way() -> None:
    """Further requests wait, one of them read, until an answer has been taken away."""
    work = Work(10, at_once=3)
    first = asyncio.ensure_future(anext(work.answers))
    await settle()
    assert work.started == [0, 1, 2]
    assert work.read == [0, 1, 2, 3]
    work.finish(0, 1, 2)
    await first
    await settle()
    assert work.started == [0, 1, 2]  # the consumer still has the first one
    second = asyncio.ensure_future(anext(work.answers))
    await settle()
    assert second.done()
    assert work.started == [0, 1, 2, 3]
    await work.answers.aclose()


async def test_all_are_answered_however_many() -> None:
    """A long stream flows through few places."""
    work = Work(200, at_once=3)
    work.finish(*range(200))
    assert [answer async for answer in work.answers] == [f"answer {number}" for number in range(200)]


class _Large:
    """An answer that can be watched."""


async def test_answers_that_were_taken_are_not_kept() -> None:
    """A stream of millions does not grow."""
    traces: list[weakref.ref[_Large]] = []

    async def answer(_number: int) -> _Large:
        large = _Large()
        traces.append(weakref.ref(large))
        return large

    async def requests() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    answers = answer_in_order(requests(), answer, at_once=1)
    for _ in range(4):
        await anext(answers)
    gc.collect()
    assert [trace() for trace in traces[:3]] == [None] * 3
    await answers.aclose()


async def test_a_consumer_that_leaves_cancels_all() -> None:
    """Closing the stream cancels what is under way, and when it is closed nothing of it runs any more."""
    work = Work(10, at_once=3)
    first = asyncio.ensure_future(anext(work.answers))
    await settle()
    work.finish(0)
    await first
    await work.answers.aclose()
    assert sorted(work.cancelled) == [1, 2]
    assert not _tasks()


async def test_a_consumer_that_is_cancelled_cancels_all() -> None:
    """When the call itself is cancelled, so is everything that it started, before it ends."""
    work = Work(10, at_once=3)

    async def consume() -> None:
        async with contextlib.aclosing(work.answers) as answers:
            async for _ in answers:
                pass

    consumer = asyncio.ensure_future(consume())
    await settle()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert sorted(work.cancelled) == [0, 1, 2]
    assert not _tasks()


async def test_an_answer_that_fails_ends_the_stream_in_its_turn() -> None:
    """What came before the failure is answered, what comes after is cancelled."""
    work = Work(10, at_once=3)
    work.finish(0)
    work.gates[1].set_result(ValueError("broken"))
    assert await anext(work.answers) == "answer 0"
    with pytest.raises(ValueError, match="broken"):
        await anext(work.answers)
    assert work.cancelled == [2]
    assert not _tasks()


async def test_failures_behind_a_failure_are_not_left_lying() -> None:
    """Errors that nobody will ever fetch do not end up in the log as forgotten ones."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    work = Work(3, at_once=3)
    for gate in work.gates:
        gate.set_result(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await anext(work.answers)
    del work
    await settle()
    gc.collect()
    assert complaints == []


async def test_a_request_that_cannot_be_read_ends_the_stream_in_its_turn() -> None:
    """What was read before is answered first."""
    work = Work(2)
    work.requests_error = ValueError("unreadable")
    work.finish(0, 1)
    assert [await anext(work.answers), await anext(work.answers)] == ["answer 0", "answer 1"]
    with pytest.raises(ValueError, match="unreadable"):
        await anext(work.answers)
    assert not _tasks()
