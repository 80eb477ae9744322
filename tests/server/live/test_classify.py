from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from aiohttp import ClientSession, web

from proto import classifier_pb2
from server.errors import OriginNotAllowed, ServingError
from server.live.classify import ClassifyHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MOST_BYTES = 1000


class Classifier:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.response = classifier_pb2.ClassifyResponse(results=[classifier_pb2.ImageResult()])
        self.message: Any = None
        self.refusals: list[ServingError] = []
        self.cancelled = asyncio.Event()

    async def classify(self, read: Callable[[], Awaitable[Any]], peer: str, seconds: float) -> Any:
        """As the real one: whatever is wrong with a request is told in the response."""
        assert (peer, seconds) == ("127.0.0.1", 20)
        try:
            self.message = await read()
        except ServingError as error:
            self.refusals.append(error)
            refusal = classifier_pb2.Error(code=error.code.value[0], message=str(error))
            return classifier_pb2.ClassifyResponse(error=refusal)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.response


class Server:
    """A port that takes images."""

    def __init__(self) -> None:
        self.classifier = Classifier()
        self.address = ""

    @property
    def port(self) -> int:
        """The port's number."""
        return int(self.address.rpartition(":")[2])

    async def post(self, query: str = "", body: Any = b"image", **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        async with (
            ClientSession() as session,
            session.post(f"{self.address}/classify?{query}", data=body, headers=headers) as response,
        ):
            return response.status, await response.json()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A port that takes images of at most a thousand bytes."""
    server = Server()
    application = web.Application(client_max_size=MOST_BYTES)
    application.add_routes([web.post("/classify", ClassifyHandler(server.classifier.classify, MOST_BYTES).answer)])
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_the_request_is_what_the_classifier_takes(server: Server) -> None:
    """Model, version, number of classes and id are the caller's; the body is the image."""
    status, _ = await server.post("model=net&version=2&top_k=3", b"bytes", **{"X-Request-Id": "abc"})
    assert status == 200
    assert server.classifier.message == classifier_pb2.ClassifyRequest(
        images=[b"bytes"], model_name="net", model_version="2", top_k=3, request_id="abc"
    )


async def test_the_answer_has_classes_and_times(server: Server) -> None:
    """Probabilities are as they came, times are in seconds."""
    result = classifier_pb2.ImageResult(
        classes=[classifier_pb2.Class(index=4, label="deer", probability=0.5)],
        timing=classifier_pb2.Timing(
            decode_ns=1_000_000, queue_ns=2_000_000, compute_ns=3_000_000, total_ns=7_000_000, batch_size=5
        ),
    )
    server.classifier.response = classifier_pb2.ClassifyResponse(model_name="net", model_version="1", results=[result])
    assert await server.post() == (
        200,
        {
            "model": "net",
            "version": "1",
            "classes": [{"index": 4, "label": "deer", "probability": 0.5}],
            "seconds": {"decode": 0.001, "queue": 0.002, "compute": 0.003, "total": 0.007},
            "batch_size": 5,
        },
    )


async def test_what_is_no_number_is_told_as_none(server: Server) -> None:
    """Browsers read no NaN, which a model may answer."""
    result = classifier_pb2.ImageResult(classes=[classifier_pb2.Class(index=4, probability=math.nan)])
    server.classifier.response = classifier_pb2.ClassifyResponse(model_name="net", model_version="1", results=[result])
    _, answer = await server.post()
    assert answer["classes"] == [{"index": 4, "label": "", "probability": None}]


@pytest.mark.parametrize(
    ("query", "body", "text"),
    [
        ("", b"", "the body must be an encoded image"),
        ("", b"x" * (MOST_BYTES + 1), "the image has more than 1000 bytes"),
        ("top_k=0", b"image", "top_k must be a number from 1 to 999"),
        ("top_k=1000", b"image", "top_k must be a number from 1 to 999"),
        ("top_k=%C2%B2", b"image", "top_k must be a number from 1 to 999"),
        ("top_k=" + "9" * 5000, b"image", "top_k must be a number from 1 to 999"),
    ],
)
async def test_requests_that_can_never_succeed_are_refused(server: Server, query: str, body: bytes, text: str) -> None:
    """The classifier, which counts refusals, learns of each."""
    assert await server.post(query, body) == (400, {"code": "INVALID_ARGUMENT", "error": text})


async def test_a_body_that_its_headers_belie_is_refused(server: Server) -> None:
    """It is the caller's mistake, and no failure of this server."""
    headers = {"Content-Encoding": "gzip"}
    refusal = {"code": "INVALID_ARGUMENT", "error": "the body is not what its headers say"}
    assert await server.post("", b"not compressed", **headers) == (400, refusal)


async def test_identifiers_must_be_text(server: Server) -> None:
    """What protobuf cannot carry is the caller's mistake, not a failure of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = (
        b"POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: \xff\r\nContent-Length: 1\r\n\r\nx"
    )
    writer.write(head)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"model, version and X-Request-Id must be UTF-8" in answer


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
        (grpc.StatusCode.INTERNAL, 500),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["call", "image"])
async def test_errors_have_their_status(server: Server, code: grpc.StatusCode, status: int, whole: bool) -> None:  # noqa: FBT001 - a parameter
    """Whether the call failed or its only image, the caller learns why."""
    error = classifier_pb2.Error(code=code.value[0], message="because")
    failed = classifier_pb2.ClassifyResponse(error=error)
    result = classifier_pb2.ClassifyResponse(results=[classifier_pb2.ImageResult(error=error)])
    server.classifier.response = failed if whole else result
    assert await server.post() == (status, {"code": code.name, "error": "because"})


async def test_pages_of_others_may_not_ask(server: Server) -> None:
    """A browser tells where a page is from; any program, and this server's own page, may ask. Refusals are counted."""
    for origin in ("https://example.org", "null", server.address.replace("127.0.0.1", "localhost")):
        status, answer = await server.post(Origin=origin)
        assert (status, answer["code"]) == (403, "PERMISSION_DENIED")
    assert server.classifier.message is None
    assert [type(error) for error in server.classifier.refusals] == [OriginNotAllowed] * 3
    assert (await server.post(Origin=server.address))[0] == 200


async def test_only_some_images_may_arrive_at_once(server: Server) -> None:
    """Slow callers cannot fill the memory: who comes when too many are sending is told to come again."""
    slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
    for _, writer in slow:
        writer.write(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
    async with asyncio.timeout(30):
        while (await server.post())[0] == 200:
            pass
    assert await server.post() == (503, {"code": "UNAVAILABLE", "error": "too many images are being received"})
    for _, writer in slow:
        writer.close()
    async with asyncio.timeout(30):
        await server.classifier.cancelled.wait()
        while (await server.post())[0] != 200:
            pass
