from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from server.errors import MessageTooLarge, ShuttingDown, Unavailable
from server.services.intake import Intake
from tests.server.services.event_loop import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def _messages(queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while (message := await queue.get()) is not None:
        yield message


async def test_an_open_intake_lets_everything_through() -> None:
    """Messages come in their order, and the stream ends when the caller ends it."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    for message in (b"a", b"b", None):
        queue.put_nowait(message)
    assert [message async for message in Intake().read(_messages(queue))] == [b"a", b"b"]


async def test_closing_ends_who_waits_for_a_message() -> None:
    """All streams whose callers send nothing are told that the server stops."""
    intake = Intake()
    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(intake.read(_messages(queue)))) for queue in queues]
    await settle()
    intake.close()
    for stream in waiting:
        with pytest.raises(ShuttingDown):
            await stream


async def test_closing_leaves_alone_who_works_on_a_message() -> None:
    """What has been read can be answered; only then is the caller told."""
    intake = Intake()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    queue.put_nowait(b"a")
    stream = intake.read(_messages(queue))
    working = asyncio.Event()

    async def work() -> bytes:
        message = await anext(stream)
        await working.wait()
        return message

    worker = asyncio.ensure_future(work())
    await settle()
    intake.close()
    await settle()
    working.set()
    assert await worker == b"a"
    with pytest.raises(ShuttingDown):
        await anext(stream)


async def test_a_closed_intake_reads_nothing() -> None:
    """Streams that begin after the end are told at once."""
    intake = Intake()
    intake.close()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    queue.put_nowait(b"a")
    with pytest.raises(ShuttingDown):
        await anext(intake.read(_messages(queue)))
    assert queue.qsize() == 1


async def test_a_caller_that_leaves_is_cancelled_as_ever() -> None:
    """Cancellation passes through while the intake is open."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    waiting = asyncio.ensure_future(anext(Intake().read(_messages(queue))))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_is_held_is_bounded() -> None:
    """Calls with one message hold eight of the largest between them; who has been answered makes room."""
    intake = Intake(3)
    with contextlib.ExitStack() as answering:
        for _ in range(8):
            answering.enter_context(intake.holding(b"abc"))
        with pytest.raises(Unavailable, match="too little memory for the message now"), intake.holding(b"a"):
            pass
        with intake.holding(b""):
            pass
    with intake.holding(b"abc"):
        pass


async def test_a_message_that_is_too_large_is_told_so() -> None:
    """One of the most bytes passes, alone and in a stream; one of more is refused, with gRPC's own words."""
    intake = Intake(3)
    assert intake.checked(b"abc") == b"abc"
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    for message in (b"abc", b"abcd"):
        queue.put_nowait(message)
    stream = intake.read(_messages(queue))
    assert await anext(stream) == b"abc"
    with pytest.raises(MessageTooLarge, match=r"^Received message larger than max \(4 vs\. 3\)$"):
        await anext(stream)
