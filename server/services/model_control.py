"""Loading and unloading models by request, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.repository import ModelRepository


class ModelControl:
    """Changes a repository, one request at a time, in a thread of its own: those that wait hold up nobody else.

    `loaded()` is awaited after each load that succeeded. A load that was asked for runs to its end, even if its caller
    leaves.
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
        task = asyncio.create_task(self._load(name, config_override))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def _load(self, name: str, config_override: str | None) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._repository.load, name, config_override)
        await self._changed()

    async def unload(self, name: str) -> None:
        """Take a model out of service, if it is in service."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._repository.unload, name)
        await self._changed()
