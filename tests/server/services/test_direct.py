from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

import imaging
from proto import classifier_pb2
from server.request_watch import RequestWatch
from server.rpc_metrics import RpcMetrics
from server.services.accounting import Accounts
from server.services.classifier import ClassifierServicer
from server.services.delivery import Delivery
from server.services.direct import DirectClassifier
from server.services.images import ImageDecoder
from server.services.intake import Intake
from server.slow_requests import SlowRequests
from tests.server.models import open_repository

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


class Door:
    """A classifier without models, and how it is asked."""

    def __init__(self, directory: Path, decoder: ImageDecoder) -> None:
        self.intake = Intake(1000)
        self.metrics = RpcMetrics()
        account = Accounts(self.metrics.observe, RequestWatch(0, SlowRequests())).open("unary", "http", "classify")
        servicer = ClassifierServicer(open_repository(directory), Delivery(), decoder)
        self._direct = DirectClassifier(servicer, account, self.intake)
        self.read = 0

    async def ask(self, **fields: Any) -> tuple[int, str]:
        """Code and text of the refusal of a request."""

        async def read() -> Any:
            self.read += 1
            return classifier_pb2.ClassifyRequest(**fields)

        return await self.classify(read)

    async def classify(self, read: Callable[[], Awaitable[Any]], seconds: float = 60) -> tuple[int, str]:
        """Code and text of the refusal of what `read()` gives."""
        response = await self._direct.classify(read, "127.0.0.1", seconds)
        return response.error.code, response.error.message


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A door that is open."""
    decoder = ImageDecoder(1, imaging.DEFAULT_LIMITS, 4)
    yield Door(tmp_path, decoder)
    decoder.close()


async def test_what_is_wrong_is_told_and_counted(door: Door) -> None:
    """A request is read once and refused as one by gRPC is."""
    assert await door.ask() == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "the request has no images")
    assert (door.read, door.metrics.refused["invalid"]) == (1, 1)


async def test_nothing_is_read_while_the_server_stops(door: Door) -> None:
    """Who comes too late is told so, and leaves no coroutine behind that nobody awaits."""
    door.intake.close()
    assert await door.ask() == (grpc.StatusCode.UNAVAILABLE.value[0], "the server is stopping")
    assert (door.read, door.metrics.refused["shutdown"]) == (0, 1)


async def test_who_is_given_up_is_told_why(door: Door) -> None:
    """Of a caller that the stopping server does not wait for any longer, the answer is its own, not that of time."""
    reached = asyncio.Event()

    async def read() -> Any:
        reached.set()
        await asyncio.Event().wait()

    answer = asyncio.ensure_future(door.classify(read))
    await reached.wait()
    door.intake.close()
    door.intake.give_up()
    assert await answer == (grpc.StatusCode.UNAVAILABLE.value[0], "the server is stopping")
    assert door.metrics.refused["shutdown"] == 1


async def test_nobody_waits_longer_than_agreed(door: Door) -> None:
    """A call that hangs is given up and told as late, as one by gRPC is."""
    code, text = await door.classify(asyncio.Event().wait, 0.01)
    assert (code, text) == (grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "there was no answer in time")
    assert door.metrics.refused["deadline"] == 1


async def test_images_count_for_the_memory_that_calls_may_hold(door: Door) -> None:
    """Where others hold all of it, an image is refused as a message by gRPC is."""
    with door.intake.holding(*[bytes(1000)] * 8):
        assert await door.ask(images=[b"image"]) == (
            grpc.StatusCode.UNAVAILABLE.value[0],
            "there is too little memory for the message now",
        )
    assert door.metrics.refused["unavailable"] == 1
