from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.request_watch import RequestWatch
from server.rpc_metrics import MethodMetrics
from server.services.accounting import Accounts
from server.services.health import SERVICE, HealthServicer
from server.services.intake import Intake
from server.services.rpc import service_handler
from server.slow_requests import SlowRequests


class Counters:
    """The real counters of each method, and of each an event that tells that a call has ended."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = {"cancelled": 0, "deadline": 0, "not_found": 0}
        self.methods: dict[str, MethodMetrics] = {}
        self.ended: dict[str, asyncio.Event] = {}

    def observe(self, rpc_type: str, service: str, method: str) -> MethodMetrics:
        """The counters of one method."""
        self.methods[method] = metrics = MethodMetrics(rpc_type, service, method, self.refused)
        self.ended[method] = ended = asyncio.Event()
        finished = metrics.finished

        def told(code: grpc.StatusCode, seconds: float) -> None:
            finished(code, seconds)
            ended.set()

        metrics.finished = told  # type: ignore[method-assign] # the real one, which tells of itself
        return metrics


@pytest.mark.parametrize("seconds", [None, 0.3], ids=["cancelled", "deadline"])
async def test_who_has_watched_health_long_enough_is_no_failure(seconds: float | None) -> None:
    """However its caller leaves a call that never ends, it has its code, and counts neither as cancelled nor late."""
    counters, slow, server = Counters(), SlowRequests(), grpc.aio.server()
    accounts = Accounts(counters.observe, RequestWatch(0, slow))
    server.add_generic_rpc_handlers([service_handler(SERVICE, HealthServicer([]), accounts, Intake())])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        call = stub.Watch(health_pb2.HealthCheckRequest(), timeout=seconds)
        await call.read()
        if seconds is None:
            call.cancel()
        await counters.ended["Watch"].wait()
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
    await server.stop(None)
    ended = {code.name: count for code, count in counters.methods["Watch"].handled.items() if count}
    assert ended == {"CANCELLED" if seconds is None else "DEADLINE_EXCEEDED": 1}
    assert counters.refused == {"cancelled": 0, "deadline": 0, "not_found": 1}
    assert [failure.reason for failure in slow.failures()] == ["not_found"]
