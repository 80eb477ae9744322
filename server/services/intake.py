"""What calls and the messages of streams come in through, so that a server that stops can say so."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Any

from server.errors import MessageTooLarge, ShuttingDown, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

_MOST_HELD = 8  # messages of the largest size


class Intake:
    """Open until it is closed for good; `with intake:` is around each call that is being answered.

    It lets no message in that has more than `most_bytes` bytes. gRPC does not either, but tells nobody. Calls with one
    message hold no more than `_MOST_HELD` times as many bytes between them; each stream has a `Window`. Each call has a
    task of its own.
    """

    def __init__(self, most_bytes: float = math.inf) -> None:
        self.most_bytes = most_bytes
        self._held_bytes = 0
        self._answering: set[asyncio.Task[Any] | None] = set()
        self._reading: set[asyncio.Task[Any] | None] = set()
        self._closed = False
        self._given_up = False

    @property
    def under_way(self) -> int:
        """Calls that are being answered."""
        return len(self._answering)

    def __enter__(self) -> None:
        """Count a call.

        Raises:
            ShuttingDown: the intake is closed.
        """
        if self._closed:
            raise ShuttingDown("the server is stopping")
        self._answering.add(asyncio.current_task())

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """The call has ended.

        Raises:
            ShuttingDown: it was given up.
        """
        task = asyncio.current_task()
        self._answering.discard(task)
        if task and self._given_up and isinstance(error, asyncio.CancelledError):
            task.uncancel()  # it goes on, to tell its caller
            raise ShuttingDown("the server is stopping") from None

    @contextlib.contextmanager
    def holding(self, *messages: bytes) -> Iterator[None]:
        """While `messages` are being answered; a queue's length bounds how many wait, this how much memory they take.

        Raises:
            Unavailable: there is no room for them now.
        """
        size = sum(map(len, messages))
        if self._held_bytes + size > _MOST_HELD * self.most_bytes:
            raise Unavailable("there is too little memory for the message now")
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    def checked(self, message: bytes) -> bytes:
        """Give `message` back.

        Raises:
            MessageTooLarge: it is.
        """
        if len(message) > self.most_bytes:
            raise MessageTooLarge(f"Received message larger than max ({len(message)} vs. {self.most_bytes})")
        return message

    def close(self) -> None:
        """Let nothing in any more; what has come in can still be answered."""
        self._closed = True
        _cancel(self._reading)

    def give_up(self) -> None:
        """End what is being answered; its callers are told why."""
        self._given_up = True
        _cancel(self._answering)

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


def _cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    for task in filter(None, tasks):
        task.cancel()
