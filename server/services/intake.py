"""What calls and the messages of streams come in through, so that a server that stops can say so."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from server.errors import MessageTooLarge, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


class Intake:
    """Open until it is closed for good; `with intake:` is around each call that is being answered.

    It lets no message in that has more than `most_bytes` bytes. gRPC does not either, but tells nobody.
    """

    def __init__(self, most_bytes: float = math.inf) -> None:
        self._most_bytes = most_bytes
        self.under_way = 0
        self._reading: set[asyncio.Task[Any] | None] = set()
        self._closed = False

    def __enter__(self) -> None:
        """Count a call.

        Raises:
            ShuttingDown: the intake is closed.
        """
        if self._closed:
            raise ShuttingDown("the server is stopping")
        self.under_way += 1

    def __exit__(self, *_error: object) -> None:
        """The call has ended."""
        self.under_way -= 1

    def checked(self, message: bytes) -> bytes:
        """Give `message` back.

        Raises:
            MessageTooLarge: it is.
        """
        if len(message) > self._most_bytes:
            raise MessageTooLarge(f"Received message larger than max ({len(message)} vs. {self._most_bytes})")
        return message

    def close(self) -> None:
        """Let nothing in any more; what has come in can still be answered."""
        self._closed = True
        for task in self._reading:
            if task:
                task.cancel()

    async def read(self, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield `messages`.

        Raises:
            MessageTooLarge: one of them is.
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
            yield self.checked(message)
        raise ShuttingDown("the server is stopping")
