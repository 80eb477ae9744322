"""From the instances' threads back to the event loop, with one wake-up for all answers of a batch."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Result = TypeVar("Result")


class Delivery:
    """Lets coroutines of the running event loop await futures that threads resolve.

    `asyncio.wrap_future` wakes the loop, which is a system call on either side, for each future; a batch resolves many
    at once, and one wake-up is enough for them.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolved: deque[asyncio.Future[None]] = deque()
        self._wake_up_scheduled = False

    async def result(self, future: Future[Result]) -> Result:
        """Await `future`; cancelling this coroutine cancels it."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(lambda _: self._arrived(waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise
        try:
            return future.result()
        finally:
            del future  # it knows its error, whose trace knows this frame and all above, the request's data among them

    def _arrived(self, waiter: asyncio.Future[None]) -> None:
        """In whatever thread resolved or cancelled the future."""
        self._resolved.append(waiter)
        if not self._wake_up_scheduled:
            self._wake_up_scheduled = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._wake_up_scheduled = False  # first, so that what arrives from now on schedules another one
        while self._resolved:
            waiter = self._resolved.popleft()
            if not waiter.done():
                waiter.set_result(None)
