"""`grpc.health.v1.Health`: Check and Watch, for the server as a whole and its services.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2

from server.errors import InvalidRequest, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from server.services.accounting import Call

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]

_STATUS = health_pb2.HealthCheckResponse.ServingStatus


class HealthServicer:
    """Tells whether to send requests; the empty service name stands for the whole server."""

    def __init__(self, services: list[str]) -> None:
        self._serving = dict.fromkeys(["", *services], False)
        self._changed = asyncio.Condition()
        self._closed = False

    async def set_serving(self, *, serving: bool) -> None:
        """Tell everybody who watches."""
        async with self._changed:
            self._serving = dict.fromkeys(self._serving, serving)
            self._changed.notify_all()

    async def close(self) -> None:
        """End what watches, which would keep a server from stopping."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def Check(self, request: Any, _call: Call) -> Any:
        """The status of a service now."""
        if request.service not in self._serving:
            raise ModelNotFound(f"unknown service '{request.service}'")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def Watch(self, requests: AsyncIterator[Any], _call: Call) -> AsyncGenerator[Any, None]:
        """The status of a service now, and then each time it changes; unknown services have a status, too."""
        request = await anext(requests, None)
        if request is None:
            raise InvalidRequest("the call has no request")
        service, told = request.service, None
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._closed or self._status(service) != told)  # noqa: B023 - now
                if self._status(service) == told:
                    return
                told = self._status(service)
            yield health_pb2.HealthCheckResponse(status=told)

    def _status(self, service: str) -> int:
        if service not in self._serving:
            return int(_STATUS.SERVICE_UNKNOWN)
        return int(_STATUS.SERVING if self._serving[service] else _STATUS.NOT_SERVING)
