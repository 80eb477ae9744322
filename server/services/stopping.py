"""Stopping a gRPC server so that every caller learns what became of its call, and none can keep the server.

`grpc.aio.Server.stop` alone does neither: calls that have arrived and that it has not looked at yet end as if they had
been cancelled, and it waits as long as it may for each connection that never speaks and each call without a request, of
which any port scanner leaves some.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

    from server.services.intake import Intake

# So long must nothing be under way before the door is shut: who comes meanwhile is told to go elsewhere.
_REFUSING_SECONDS = 0.25
# So long the last answers have for their way.
_SENDING_SECONDS = 2.0
# ... and so long the news that there will be none.
_TELLING_SECONDS = 0.5
_LOOK_SECONDS = 0.05


async def stop(server: grpc.aio.Server, intake: Intake, grace_seconds: float) -> None:
    """Refuse what is new, let what has come in end within `grace_seconds`, give up what has not, and stop `server`."""
    end = time.monotonic() + grace_seconds
    intake.close()
    idle_since = time.monotonic()
    while time.monotonic() < min(idle_since + _REFUSING_SECONDS, end):
        await asyncio.sleep(_LOOK_SECONDS)
        if intake.under_way:
            idle_since = time.monotonic()
    in_time = not intake.under_way
    intake.give_up()
    await server.stop(_SENDING_SECONDS if in_time else _TELLING_SECONDS)
