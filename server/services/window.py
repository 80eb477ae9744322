"""How many bytes of a stream's messages may be with the server at once."""

from __future__ import annotations

import asyncio
from collections import deque


class Window:
    """Messages that were read and are not answered yet; while they are large, the next is not read.

    gRPC's flow control then slows the sender down. The last message is let in whatever its size, so that one that is
    larger than the window can be answered, too.

    Args:
        most_bytes: The next message is read when those in the window have fewer.
    """

    def __init__(self, most_bytes: float) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._sizes: deque[int] = deque()
        self._answered = asyncio.Event()

    def read(self, message: bytes) -> None:
        """Count a message until it is answered."""
        self._sizes.append(len(message))
        self._bytes += len(message)

    def answered(self) -> None:
        """The oldest message has been answered, or again: to some, there are several answers."""
        if self._sizes:
            self._bytes -= self._sizes.popleft()
            self._answered.set()

    async def room(self) -> None:
        """Wait until the next message may be read."""
        while self._bytes >= self._most_bytes:
            self._answered.clear()
            await self._answered.wait()
