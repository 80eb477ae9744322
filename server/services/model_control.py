"""Loading and unloading models by request, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from server.repository import ModelRepository


class ModelControl:
    """Changes a repository, one request at a time, in a thread of its own: those that wait hold up nobody else.

    `changed()` is awaited after each change that succeeded. What has begun runs to its end, even if its caller leaves;
    what has not begun by then is dropped with its caller, so that those who ask again and again leave no queue behind.
    """

    def __init__(self, repository: ModelRepository, changed: Callable[[], Awaitable[None]]) -> None:
        self._repository = repository
        self._changed = changed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-control")
        self._under_way: set[asyncio.Task[None]] = set()  # the event loop itself keeps no task alive

    async def load(self, name: str, config_override: str | None) -> None:
        """Load or reload a model; returns when it answers requests.

        Raises:
            LoadError: as `ModelRepository.load`.
        """
        await self._do(self._thread.submit(self._repository.load, name, config_override))

    async def unload(self, name: str) -> None:
        """Take a model out of service, if it is in service."""
        await self._do(self._thread.submit(self._repository.unload, name))

    async def _do(self, change: Future[None]) -> None:
        task = asyncio.create_task(self._finish(change))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            change.cancel()  # which what has begun does not heed
            raise

    async def _finish(self, change: Future[None]) -> None:
        await asyncio.wrap_future(change)
        await self._changed()
