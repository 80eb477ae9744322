"""Bounded, ordered bulk work."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from client.ordered import map_in_order, map_in_order_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator


class Source:
    """Counts what is taken of some items, in either manner."""

    def __init__(self, items: Iterable[int]) -> None:
        self._items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for item in self._items:
            self.taken += 1
            yield item

    async def __aiter__(self) -> AsyncIterator[int]:
        for item in self:
            yield item


class Doubling:
    """Doubles batches and remembers their sizes; ends later batches before earlier ones."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._odd_one_done = threading.Event()

    def in_thread(self, batch: list[int]) -> list[int]:
        """Lets the first batch wait for the second."""
        self.sizes.append(len(batch))
        if batch[0] == 0:
            self._odd_one_done.wait()
        self._odd_one_done.set()
        return [2 * item for item in batch]

    def in_task(self, batch: list[int]) -> asyncio.Task[list[int]]:
        """Lets earlier batches end later."""
        return asyncio.create_task(self._double(batch))

    async def _double(self, batch: list[int]) -> list[int]:
        self.sizes.append(len(batch))
        for _ in range(max(0, 20 - batch[0])):
            await asyncio.sleep(0)
        return [2 * item for item in batch]


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 2), (3, 2), (4, 5), (50, 3)])
def test_results_keep_the_order(batch_size: int, batches: int) -> None:
    """A later batch that is done first waits for its turn."""
    results = list(map_in_order(Doubling().in_thread, range(40), batch_size, batches))

    assert results == list(range(0, 80, 2))


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 1), (1, 2), (3, 2), (4, 5), (50, 3)])
async def test_results_keep_the_order_in_an_event_loop(batch_size: int, batches: int) -> None:
    """A later batch that is done first waits for its turn."""
    results = map_in_order_async(Doubling().in_task, aiter(Source(range(40))), batch_size, batches)

    assert [result async for result in results] == list(range(0, 80, 2))


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 1), (1, 4), (3, 2)])
def test_endless_items_are_taken_as_there_is_room(batch_size: int, batches: int) -> None:
    """However slow the caller is, no more is held than the bound."""
    source = Source(itertools.count())
    results = map_in_order(lambda batch: batch, source, batch_size, batches)

    for seen, result in enumerate(itertools.islice(results, 100), 1):
        assert result == seen - 1
        assert source.taken - seen < batch_size * (batches + 1)


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 1), (1, 4), (3, 2)])
async def test_endless_items_are_taken_as_there_is_room_in_an_event_loop(batch_size: int, batches: int) -> None:
    """However slow the caller is, no more is held than the bound."""
    source = Source(itertools.count())
    results = map_in_order_async(Doubling().in_task, aiter(source), batch_size, batches)
    seen = 0

    async for result in results:
        assert result == 2 * seen
        seen += 1
        assert source.taken - seen <= batch_size * (batches + 1)
        if seen == 100:
            break


def test_lone_item_is_sent_at_once_and_others_gather_meanwhile() -> None:
    """Nothing waits for company while nothing is on its way."""
    doubling = Doubling()

    list(map_in_order(doubling.in_thread, range(8), 3, 2))

    assert doubling.sizes[:2] == [1, 3]
    assert max(doubling.sizes) == 3


async def test_result_does_not_wait_for_the_next_item() -> None:
    """A source that gives its second item only after the first result does not hang."""
    seen_first = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 1
        await seen_first.wait()
        yield 2

    results: list[int] = []
    async for result in map_in_order_async(Doubling().in_task, source(), 4, 4):
        results.append(result)
        seen_first.set()

    assert results == [2, 4]


def test_failure_of_the_function_ends_the_work() -> None:
    """The exception comes where the result would have come, and no further item is taken."""
    source = Source(itertools.count())

    def fail_at_seven(batch: list[int]) -> list[int]:
        if 7 in batch:
            raise ValueError("seven")
        return batch

    results = map_in_order(fail_at_seven, source, 1, 2)

    assert list(itertools.islice(results, 7)) == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)
    assert source.taken < 12


async def test_failure_in_an_event_loop_cancels_what_is_under_way() -> None:
    """Nothing is left running after the exception."""
    begun: list[int] = []
    cancelled: list[int] = []
    another = asyncio.Event()

    async def fail_at_zero(batch: list[int]) -> list[int]:
        if batch == [0]:
            await another.wait()
            raise ValueError("zero")
        begun.extend(batch)
        another.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.extend(batch)
            raise
        return batch

    with pytest.raises(ValueError, match="zero"):
        await anext(
            map_in_order_async(
                lambda batch: asyncio.create_task(fail_at_zero(batch)), aiter(Source(itertools.count())), 1, 8
            )
        )
    assert begun
    assert cancelled == begun
    assert len(asyncio.all_tasks()) == 1


def test_failure_of_the_source_comes_through() -> None:
    """The caller's own exception is not swallowed."""

    def source() -> Iterator[int]:
        yield 1
        raise ValueError("the source")

    with pytest.raises(ValueError, match="the source"):
        list(map_in_order(lambda batch: batch, source(), 1, 1))


async def test_failure_of_the_source_comes_through_in_an_event_loop() -> None:
    """The caller's own exception is not swallowed."""

    async def source() -> AsyncIterator[int]:
        yield 1
        raise ValueError("the source")

    with pytest.raises(ValueError, match="the source"):
        _ = [result async for result in map_in_order_async(Doubling().in_task, source(), 1, 1)]
