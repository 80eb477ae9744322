"""How much of the models' queues one call may take: bulk work leaves room for others and meets no full queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.model import ModelVersion

# Enough to fill the batches of several instances.
AT_ONCE = 64


class Share:
    """The places of one call: at most `AT_ONCE` for each model version, and at most half of that one's queue."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], asyncio.Semaphore] = {}

    def place(self, model: ModelVersion) -> asyncio.Semaphore:
        """To be held, by `async with`, while one request is prepared, waits and is executed."""
        key = (model.config.name, model.version)
        if key not in self._places:
            self._places[key] = asyncio.Semaphore(min(AT_ONCE, max(1, model.queue_capacity // 2)))
        return self._places[key]
