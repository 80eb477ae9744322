"""Answering a stream of requests: several at work at a time, answers in the order of the requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answer_in_order(
    requests: AsyncIterator[Request], answer: Callable[[Request], Coroutine[Any, Any, Response]], at_once: int
) -> AsyncGenerator[Response, None]:
    """Yield `answer(request)` for each of `requests`, with at most `at_once` of them under way.

    Further requests are not read meanwhile, so gRPC's flow control slows the sender down. When the consumer leaves, all
    that is under way is cancelled. An error of `requests` or of `answer` ends the stream in its turn.
    """
    places = asyncio.Semaphore(at_once)
    answers: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
    under_way: set[asyncio.Task[Response]] = set()

    async def start_all() -> None:
        try:
            async for request in requests:
                await places.acquire()
                task = asyncio.create_task(answer(request))
                under_way.add(task)
                answers.put_nowait(task)
        finally:
            answers.put_nowait(None)

    reader = asyncio.create_task(start_all())
    try:
        while (task := await answers.get()) is not None:
            yield await task
            under_way.discard(task)
            places.release()
        await reader
    finally:
        for started in (reader, *under_way):
            started.cancel()
        await asyncio.gather(reader, *under_way, return_exceptions=True)  # they have ended, and left no complaint
