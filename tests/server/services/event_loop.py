"""Letting an event loop come to rest."""

from __future__ import annotations

import asyncio


async def settle() -> None:
    """Let everything run that can run; a step of the loop for each of the few hand-overs there are."""
    for _ in range(20):
        await asyncio.sleep(0)
