"""What streams of requests are read through, so that a server that stops can end those whose callers do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from server.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


class Intake:
    """Open until it is closed for good."""

    def __init__(self) -> None:
        self._reading: set[asyncio.Task[Any] | None] = set()
        self._closed = False

    def close(self) -> None:
        """Let nobody read any more; what has been read can still be answered."""
        self._closed = True
        for task in self._reading:
            if task:
                task.cancel()

    async def read(self, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield `messages`.

        Raises:
            ShuttingDown: the intake is closed.
        """
        while not self._closed:
            task = asyncio.current_task()
            self._reading.add(task)
            try:
                message = await anext(messages)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if self._closed:
                    break
                raise
            finally:
                self._reading.discard(task)
            yield message
        raise ShuttingDown("the server is stopping")
