from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from proto import classifier_pb2, classifier_pb2_grpc
from server.errors import InvalidRequest, QueueFull
from server.request_watch import RequestWatch
from server.services.accounting import Accounts
from server.services.classifier import SERVICE
from server.services.intake import Intake
from server.services.rpc import service_handler
from server.services.streaming import answer_in_order
from server.slow_requests import SlowRequests
from tests.server.services.event_loop import settle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from server.services.accounting import Call

_CLASSIFY = "/coordserve.v1.Classifier/Classify"
_STREAM = "/coordserve.v1.Classifier/ClassifyStream"


class Observer:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.ended = asyncio.Event()

    def started(self) -> None:
        """A call has come."""
        self.events["started"] += 1

    def finished(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call has ended."""
        assert seconds >= 0
        self.events[code.name] += 1
        self.ended.set()

    def refused(self, reason: str) -> None:
        """A call has failed."""
        self.events[reason] += 1


class Servicer:
    """Does what the request's id says."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.reached = asyncio.Event()
        self.left = asyncio.Event()

    async def Classify(self, request: Any, call: Call) -> Any:  # noqa: N802 - the method's name
        """Answer, fail or wait."""
        self.calls.append(call)
        return await self._do(request)

    async def ClassifyStream(self, requests: AsyncIterator[Any], call: Call) -> AsyncGenerator[Any, None]:  # noqa: N802
        """Answer, fail or wait, one request after the other."""
        self.calls.append(call)
        async for request in requests:
            yield await self._do(request)

    async def _do(self, request: Any) -> Any:
        match request.request_id:
            case "wrong":
                raise InvalidRequest("too blue")
            case "long":
                raise QueueFull("ä" * 100_000)
            case "bug":
                raise ZeroDivisionError("secret path")
            case "wait":
                self.reached.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.left.set()
        return classifier_pb2.ClassifyResponse(request_id=request.request_id)


class Collector:
    """Takes whatever comes, and answers when it may."""

    def __init__(self) -> None:
        self.taken = asyncio.Semaphore(0)
        self.may_answer = asyncio.Semaphore(0)
        self.received: list[str] = []

    def ClassifyStream(  # noqa: N802 - the method's name
        self, requests: AsyncIterator[Any], _call: Call
    ) -> AsyncGenerator[Any, None]:
        """Answer in order."""

        async def answer(request: Any) -> Any:
            self.received.append(request.request_id)
            self.taken.release()
            await self.may_answer.acquire()
            return classifier_pb2.ClassifyResponse(request_id=request.request_id)

        return answer_in_order(requests, answer, at_once=64)


class Server:
    """A real gRPC server of the servicer, and a channel to it."""

    def __init__(self, servicer: Any, most_bytes: float = math.inf) -> None:
        self.servicer = servicer
        self.observers: dict[str, Observer] = {}
        self.types: dict[str, str] = {}
        self.intake = Intake(most_bytes)
        accounts = Accounts(self._observe, RequestWatch(0, SlowRequests()))
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers([service_handler(SERVICE, servicer, accounts, self.intake)])
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}")
        self.stub: Any = classifier_pb2_grpc.ClassifierStub(self.channel)

    def _observe(self, rpc_type: str, service: str, method: str) -> Observer:
        assert service == "coordserve.v1.Classifier"
        self.types[method] = rpc_type
        return self.observers.setdefault(method, Observer())

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """End."""
        await self.channel.close()
        await self._server.stop(None)

    async def events(self, method: str) -> dict[str, int]:
        """What was counted of a method, once a call has ended."""
        await self.observers[method].ended.wait()
        return dict(self.observers[method].events)


@contextlib.asynccontextmanager
async def _serving(servicer: Any, most_bytes: float = math.inf) -> AsyncIterator[Server]:
    server = Server(servicer, most_bytes)
    await server.start()
    yield server
    await server.stop()


def _request(name: str) -> Any:
    return classifier_pb2.ClassifyRequest(request_id=name)


async def _failure(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details() or ""


async def _all(call: Any) -> list[str]:
    return [response.request_id async for response in call]


async def test_answers_are_sent_and_counted() -> None:
    """A call is parsed, answered, counted once at its start and once with its code."""
    async with _serving(Servicer()) as server:
        assert (await server.stub.Classify(_request("r7"))).request_id == "r7"
        assert await server.events("Classify") == {"started": 1, "OK": 1}
        assert await _all(server.stub.ClassifyStream(iter([_request("a"), _request("b")]))) == ["a", "b"]
        assert await server.events("ClassifyStream") == {"started": 1, "OK": 1}
        assert server.types == {"Classify": "unary", "ClassifyStream": "bidi_stream"}


@pytest.mark.parametrize("method", ["Classify", "ClassifyStream"])
@pytest.mark.parametrize(
    ("name", "code", "text", "reason"),
    [
        ("wrong", grpc.StatusCode.INVALID_ARGUMENT, "too blue", "invalid"),
        ("long", grpc.StatusCode.UNAVAILABLE, "ä" * 600, "queue_full"),
        ("bug", grpc.StatusCode.INTERNAL, "internal error", "internal"),
    ],
)
async def test_failures_have_their_code_text_and_reason(
    method: str, name: str, code: grpc.StatusCode, text: str, reason: str
) -> None:
    """What the servicer raises reaches the caller, cut where headers end; bugs tell nothing of the inside."""
    async with _serving(Servicer()) as server:
        call = server.stub.Classify(_request(name))
        if method == "ClassifyStream":
            call = _all(server.stub.ClassifyStream(iter([_request(name)])))
        assert await _failure(call) == (code, text)
        assert await server.events(method) == {"started": 1, code.name: 1, reason: 1}


async def test_a_bug_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs the server learns what the caller does not."""
    with caplog.at_level(logging.ERROR):
        async with _serving(Servicer()) as server:
            await _failure(server.stub.Classify(_request("bug")))
    assert "ZeroDivisionError: secret path" in caplog.text


async def test_messages_that_should_be_small_are_refused_where_they_are_not() -> None:
    """Where nobody parses them piece by piece, protobuf would take seconds and hold up everybody."""
    async with _serving(Servicer()) as server:
        unary = server.channel.unary_unary(_CLASSIFY)
        code, text = await _failure(unary(bytes(1 << 20) + b"\0"))
        assert (code, text) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "this method takes messages of at most 1048576 bytes, and this one has 1048577",
        )
        assert await server.events("Classify") == {"started": 1, "RESOURCE_EXHAUSTED": 1, "too_large": 1}


async def test_a_message_that_is_too_large_is_so_however_much_memory_there_is() -> None:
    """Whoever is told that there is no room now would come again with the same message."""
    async with _serving(Servicer(), 10) as server:
        with server.intake.holding(*[bytes(10)] * 8):
            code, _ = await _failure(server.channel.unary_unary(_CLASSIFY)(bytes(11)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_that_are_no_message_are_refused() -> None:
    """Damage is the caller's fault in every kind of call, and is counted."""
    async with _serving(Servicer()) as server:
        unary = server.channel.unary_unary(_CLASSIFY)
        assert await _failure(unary(b"\xff")) == (grpc.StatusCode.INVALID_ARGUMENT, "Unable to parse request")
        assert await server.events("Classify") == {"started": 1, "INVALID_ARGUMENT": 1, "invalid": 1}
        stream = server.channel.stream_stream(_STREAM)
        call: Any = stream(iter([_request("a").SerializeToString(), b"\xff"]))
        assert await call.read() == _request("a").SerializeToString().replace(b"\x2a", b"\x1a")  # field 5, field 3
        assert await _failure(call.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "Unable to parse request")
        assert await server.events("ClassifyStream") == {"started": 1, "INVALID_ARGUMENT": 1, "invalid": 1}


@pytest.mark.parametrize("method", ["Classify", "ClassifyStream"])
async def test_a_caller_that_leaves_cancels_the_work(method: str) -> None:
    """The servicer is cancelled, and the call counts as CANCELLED."""
    async with _serving(Servicer()) as server:
        request = _request("wait") if method == "Classify" else iter([_request("wait")])
        call = getattr(server.stub, method)(request)
        reading = asyncio.ensure_future(_all(call) if method == "ClassifyStream" else asyncio.wait([call]))
        await server.servicer.reached.wait()
        call.cancel()
        await server.servicer.left.wait()
        assert await server.events(method) == {"started": 1, "CANCELLED": 1, "cancelled": 1}
        await asyncio.wait([reading])


@pytest.mark.parametrize("method", ["Classify", "ClassifyStream"])
async def test_calls_that_are_given_up_are_told_why(method: str) -> None:
    """Its servicer is cancelled, but caller and counters learn that the server has ended the call, not the caller."""
    async with _serving(Servicer()) as server:
        request = _request("wait") if method == "Classify" else iter([_request("wait")])
        call = getattr(server.stub, method)(request)
        answer = asyncio.ensure_future(_failure(_all(call) if method == "ClassifyStream" else call))
        await server.servicer.reached.wait()
        server.intake.close()
        server.intake.give_up()
        assert await answer == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        assert server.servicer.left.is_set()
        assert await server.events(method) == {"started": 1, "UNAVAILABLE": 1, "shutdown": 1}
    assert server.intake.under_way == 0


async def test_a_deadline_that_passes_cancels_the_work() -> None:
    """The servicer is cancelled, and the call counts as late."""
    async with _serving(Servicer()) as server:
        code, _ = await _failure(server.stub.Classify(_request("wait"), timeout=2))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        await server.servicer.left.wait()
        assert await server.events("Classify") == {"started": 1, "DEADLINE_EXCEEDED": 1, "deadline": 1}


async def test_a_servicer_knows_the_deadline() -> None:
    """It is an instant of the monotonic clock, or infinity."""
    async with _serving(Servicer()) as server:
        await server.stub.Classify(_request("a"))
        before = time.monotonic()
        await server.stub.Classify(_request("a"), timeout=100)
        first, second = server.servicer.calls
        assert first.deadline == math.inf
        assert before + 99 < second.deadline < time.monotonic() + 110  # gRPC rounds up, by a hundredth at most


async def test_methods_that_are_missing_are_not_implemented() -> None:
    """A method of the protocol that the servicer lacks says so by its name, and is counted."""
    async with _serving(object()) as server:
        missing = grpc.StatusCode.UNIMPLEMENTED
        assert await _failure(server.stub.Classify(_request("a"))) == (
            missing,
            "Classify is not implemented by this server",
        )
        assert await _failure(_all(server.stub.ClassifyStream(iter([_request("a")])))) == (
            missing,
            "ClassifyStream is not implemented by this server",
        )
        for method in ("Classify", "ClassifyStream"):
            assert await server.events(method) == {"started": 1, "UNIMPLEMENTED": 1, "unsupported": 1}


async def test_closing_the_intake_ends_idle_streams() -> None:
    """A stream whose caller sends nothing ends with UNAVAILABLE when the server stops."""
    async with _serving(Servicer()) as server:
        call = server.stub.ClassifyStream()
        await call.write(_request("a"))
        assert (await call.read()).request_id == "a"
        server.intake.close()
        assert await _failure(call.read()) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        assert await server.events("ClassifyStream") == {"started": 1, "UNAVAILABLE": 1, "shutdown": 1}


async def test_large_messages_of_a_stream_are_read_as_they_are_answered() -> None:
    """Of a stream no more is taken than a message beyond the most bytes of one; all is answered in the end."""
    collector = Collector()
    async with _serving(collector, most_bytes=100) as server:
        call = server.stub.ClassifyStream()
        names = [str(number) * 60 for number in range(5)]
        for name in names:
            await call.write(_request(name))
        await call.done_writing()
        for _ in range(2):
            await collector.taken.acquire()
        await settle()
        assert collector.received == names[:2]
        for _ in names:
            collector.may_answer.release()
        assert await _all(call) == names
