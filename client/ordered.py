"""Bounded, ordered bulk work: items are taken as there is room, worked on at the same time, and given back in order."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
    from typing import Any

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
_END = object()


def map_in_order(
    function: Callable[[list[ItemT]], list[ResultT]], items: Iterable[ItemT], batch_size: int, batches: int
) -> Iterator[ResultT]:
    """Applies `function` to batches of `items` in threads and yields the results in order, holding few at a time.

    A batch is sent when it is full, or when nothing else is on its way: a lone item never waits for company. `items`
    is advanced in the caller's thread.

    Args:
        function: Returns one result for each item of its batch.
        items: May be endless.
        batch_size: Most items in a batch.
        batches: Most batches on their way.
    """
    pending: deque[Future[list[ResultT]]] = deque()
    batch: list[ItemT] = []
    pool = ThreadPoolExecutor(batches, thread_name_prefix="classify")
    try:
        for item in items:
            batch.append(item)
            if len(batch) == batch_size or not pending:
                pending.append(pool.submit(function, batch))
                batch = []
            while pending and (len(pending) == batches or pending[0].done()):
                yield from pending.popleft().result()
        if batch:
            pending.append(pool.submit(function, batch))
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def map_in_order_async(
    start: Callable[[list[ItemT]], asyncio.Task[list[ResultT]]],
    items: AsyncIterator[ItemT],
    batch_size: int,
    batches: int,
) -> AsyncGenerator[ResultT, None]:
    """As `map_in_order`, with tasks that `start` makes; results are yielded while the next item is awaited."""
    pending: deque[asyncio.Task[list[ResultT]]] = deque()
    batch: list[ItemT] = []
    pull: asyncio.Task[Any] | None = asyncio.create_task(_next(items))
    try:
        while pull or batch or pending:
            if batch and (len(batch) == batch_size or not pending or not pull):
                pending.append(start(batch))
                batch = []
            wanted = pull if len(pending) < batches else None
            await asyncio.wait([*([wanted] if wanted else []), *list(pending)[:1]], return_when=asyncio.FIRST_COMPLETED)
            while pending and pending[0].done():
                for result in pending.popleft().result():
                    yield result
            if wanted and wanted.done():
                item = wanted.result()
                pull = None if item is _END else asyncio.create_task(_next(items))
                batch += [] if item is _END else [item]
    finally:
        left = [*pending, *([pull] if pull else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _next(items: AsyncIterator[ItemT]) -> ItemT | object:
    return await anext(items, _END)
