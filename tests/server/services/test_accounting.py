from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.errors import InvalidRequest
from server.request_watch import RequestWatch
from server.rpc_metrics import MethodMetrics
from server.services.accounting import Accounts, Call
from server.services.health import SERVICE, HealthServicer
from server.services.intake import Intake
from server.services.rpc import service_handler
from server.services.streaming import answer_in_order
from server.slow_requests import SlowRequests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator


class Counters:
    """The real counters of each method, and of each an event that tells that a call has ended."""

    def __init__(self) -> None:
        self.refused: dict[str, int] = dict.fromkeys(("cancelled", "deadline", "not_found", "invalid", "internal"), 0)
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


@contextlib.asynccontextmanager
async def _serving(servicer: Any) -> AsyncIterator[tuple[Any, Counters, SlowRequests]]:
    """A real server of the health service, a stub that asks it, and what is told of its calls."""
    counters, slow, server = Counters(), SlowRequests(), grpc.aio.server()
    accounts = Accounts(counters.observe, RequestWatch(0, slow))
    server.add_generic_rpc_handlers([service_handler(SERVICE, servicer, accounts, Intake())])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel), counters, slow
    await server.stop(None)


@pytest.mark.parametrize("seconds", [None, 2], ids=["cancelled", "deadline"])
async def test_who_has_watched_health_long_enough_is_no_failure(seconds: float | None) -> None:
    """However its caller leaves a call that never ends, it has its code, and counts neither as cancelled nor late."""
    async with _serving(HealthServicer([])) as (stub, counters, slow):
        call = stub.Watch(health_pb2.HealthCheckRequest(), timeout=seconds)
        await call.read()
        if seconds is None:
            call.cancel()
        await counters.ended["Watch"].wait()
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
    ended = {code.name: count for code, count in counters.methods["Watch"].handled.items() if count}
    assert ended == {"CANCELLED" if seconds is None else "DEADLINE_EXCEEDED": 1}
    assert counters.refused == {"cancelled": 0, "deadline": 0, "not_found": 1, "invalid": 0, "internal": 0}
    assert [failure.reason for failure in slow.failures()] == ["not_found"]


class Refusal(InvalidRequest):
    """An error of which the test can tell when it is gone."""

    last: weakref.ref[Refusal]

    def __init__(self) -> None:
        super().__init__("no")
        Refusal.last = weakref.ref(self)


class Refusing:
    """Answers nobody."""

    async def Check(self, _request: Any, _call: Any) -> Any:  # noqa: N802 - the method's name
        """Refuse."""
        raise Refusal


class Mistaken:
    """Meets a bug in each message of a stream."""

    def Watch(self, requests: AsyncIterator[Any], call: Call) -> AsyncGenerator[Any, None]:  # noqa: N802 - the method's name
        """Answer with a bug."""

        async def answer(_request: Any) -> Any:
            raise RuntimeError("a bug")

        return answer_in_order(requests, call.each(answer), 1)


async def test_a_message_that_meets_a_bug_has_failed() -> None:
    """It is no answer that was quick or slow."""
    async with _serving(Mistaken()) as (stub, counters, slow):
        with pytest.raises(grpc.aio.AioRpcError, match="internal error"):
            await stub.Watch(health_pb2.HealthCheckRequest()).read()
        await counters.ended["Watch"].wait()
    assert [(failure.code, failure.reason) for failure in slow.failures()] == [("INTERNAL", "internal")] * 2


async def test_a_call_that_failed_is_forgotten_at_once() -> None:
    """Its error's trace knows the whole message, so neither waits for the garbage collector."""
    gc.disable()
    try:
        async with _serving(Refusing()) as (stub, *_):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Check(health_pb2.HealthCheckRequest())
        assert Refusal.last() is None
    finally:
        gc.enable()
