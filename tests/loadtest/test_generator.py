from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import numpy as np
import pytest

from loadtest.generator import Load, run

Behaviour = Callable[[bytes, object], Awaitable[bytes]]
METHOD = "/test.Service/Method"


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Behaviour], Awaitable[str]]]:
    """Starts a gRPC server that answers every call by a coroutine; gives its address."""
    servers = []

    async def start(behaviour: Behaviour) -> str:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(behaviour)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Service", {"Method": handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        await server.stop(None)


async def test_each_due_instant_is_one_request_and_messages_take_turns(
    serve: Callable[[Behaviour], Awaitable[str]],
) -> None:
    """A request is sent for each instant, with the messages in turn, and each has its outcome."""
    received: list[bytes] = []

    async def answer(message: bytes, _context: object) -> bytes:
        received.append(message)
        return message

    trace = await run(Load(await serve(answer), METHOD, [b"a", b"b"]), np.linspace(0, 0.05, 6))

    assert received == [b"a", *[b"a", b"b"] * 3]  # one before the schedule starts
    assert set(trace.status) == {"OK"}
    assert (trace.sent >= trace.due).all()
    assert (trace.done >= trace.sent).all()


async def test_a_stalled_server_does_not_hold_up_the_schedule(serve: Callable[[Behaviour], Awaitable[str]]) -> None:
    """All requests that are due are sent while the first one is still unanswered: the load is open-loop."""
    waiting = 0
    everybody_came = asyncio.Event()

    async def stall(message: bytes, _context: object) -> bytes:
        nonlocal waiting
        if message == b"warm-up":
            return message
        waiting += 1
        if waiting == 20:
            everybody_came.set()
        await everybody_came.wait()
        return message

    messages = [b"warm-up", *[b"stall"] * 20]
    trace = await run(Load(await serve(stall), METHOD, messages), np.linspace(0, 0.1, 21))

    assert waiting == 20
    assert set(trace.status) == {"OK"}


async def test_failures_are_recorded_by_their_code(serve: Callable[[Behaviour], Awaitable[str]]) -> None:
    """A request that the server refuses is an outcome, not the end of the run."""

    async def refuse(message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if message == b"bad":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED)
        return message

    trace = await run(Load(await serve(refuse), METHOD, [b"good", b"bad"]), np.linspace(0, 0.05, 6))

    assert trace.status.tolist() == ["OK", "RESOURCE_EXHAUSTED"] * 3


async def test_beyond_the_most_in_flight_requests_are_dropped(serve: Callable[[Behaviour], Awaitable[str]]) -> None:
    """A server that answers nothing costs the client no more than its limit; the rest counts as dropped."""

    async def never(message: bytes, _context: object) -> bytes:
        if message != b"first":
            await asyncio.Event().wait()
        return message

    messages = [b"first", *[b"hang"] * 30]
    load = Load(await serve(never), METHOD, messages, deadline_seconds=0.3, most_in_flight=5)
    trace = await run(load, np.linspace(0, 0.1, 30))

    assert (trace.status == "DEADLINE_EXCEEDED").sum() in (5, 6)
    assert (trace.status == "DROPPED").sum() >= 23
    assert np.isnan(trace.sent[trace.status == "DROPPED"]).all()


async def test_a_server_that_is_not_there_is_told_before_any_load() -> None:
    """The first call fails at once, and nothing else is sent."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await run(Load("127.0.0.1:1", METHOD, [b""]), np.zeros(3))

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
