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

    `loaded()` is awaited after each load that succeeded.
    """

    def __init__(self, repository: ModelRepository, loaded: Callable[[], Awaitable[None]]) -> None:
        self._repository = repository
        self._loaded = loaded
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-control")

    async def load(self, name: str, config_override: str | None) -> None:
        """Load or reload a model; returns when it answers requests.

        Raises:
            LoadError: as `ModelRepository.load`.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._repository.load, name, config_override)
        await self._loaded()

    async def unload(self, name: str) -> None:
        """Take a model out of service.

        Raises:
            ModelNotFound: as `ModelRepository.unload`.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._repository.unload, name)
