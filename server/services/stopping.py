"""Stopping a gRPC server without waiting for those who say nothing.

`grpc.aio.Server.stop` waits as long as it may for every connection that has not spoken yet and for every call whose
request has not come, of which each port scanner leaves some. What counts is the calls that were accepted.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

# How long nothing must be under way, so that the last answers are on their way and the last calls have begun.
_QUIET_SECONDS = 2.0
_LOOK_SECONDS = 0.05


async def stop_listening(server: grpc.aio.Server, grace_seconds: float, under_way: Callable[[], int]) -> None:
    """Refuse new calls, let those that `under_way()` counts end within `grace_seconds`, and stop `server`."""
    stopping = asyncio.ensure_future(server.stop(grace_seconds))
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + _QUIET_SECONDS:
        done, _ = await asyncio.wait({stopping}, timeout=_LOOK_SECONDS)
        if done:
            return
        if under_way():
            quiet_since = time.monotonic()
    stopping.cancel()
    await server.stop(None)
