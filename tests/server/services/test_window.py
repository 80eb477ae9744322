from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.services.window import Window
from tests.server.services.event_loop import settle


async def test_small_messages_are_not_waited_for() -> None:
    """Any number of messages is read while they have fewer bytes than the window, and no more after that."""
    window = Window(10)
    for _ in range(9):
        window.read(b"a")
        await window.room()
    window.read(b"a")
    waiting = asyncio.create_task(window.room())
    await settle()
    assert not waiting.done()
    window.answered()
    await waiting


async def test_a_message_larger_than_the_window_is_read() -> None:
    """It comes in alone or last; the next one waits until enough of the others have been answered."""
    window = Window(10)
    window.read(b"small")
    window.read(b"larger than the window")
    waiting = asyncio.create_task(window.room())
    window.answered()
    await settle()
    assert not waiting.done()
    window.answered()
    await waiting


async def test_a_message_with_several_answers() -> None:
    """Answers beyond the number of messages make no room for others."""
    window = Window(2)
    window.read(b"a")
    window.answered()
    window.answered()
    window.read(b"ab")
    waiting = asyncio.create_task(window.room())
    await settle()
    assert not waiting.done()
    window.answered()
    await waiting


@given(sizes=st.lists(st.integers(0, 30), max_size=40), most_bytes=st.integers(1, 40))
def test_bounds(sizes: list[int], most_bytes: int) -> None:
    """Whatever the messages, the window holds less than its size besides the latest one, and all are read."""

    async def flow() -> None:
        window, held, served = Window(most_bytes), [], []

        async def read() -> None:
            for size in sizes:
                await window.room()
                assert sum(held) < most_bytes
                window.read(bytes(size))
                held.append(size)

        reader = asyncio.create_task(read())
        while len(served) < len(sizes):
            await asyncio.sleep(0)
            if held:
                window.answered()
                served.append(held.pop(0))
        await reader
        assert served == sizes

    asyncio.run(flow())
