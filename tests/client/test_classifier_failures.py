"""Both clients on bad days: servers that hang, stop, shed load or are not there."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from client import DeadlineExceeded, InvalidImage, Overloaded, ServerUnreachable
from tests.client.conftest import NOBODY, best
from tests.client.servicers import Gate, NativeServicer, PlainServicer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.client.conftest import Client

HANGING_SECONDS = 60  # after which a test has failed


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_deadline_ends_a_call_that_hangs(client: Client, photos: list[bytes], servicer: Any) -> None:
    """No call waits for ever, and a hanging image is a failed image."""
    gate = Gate()
    with serving(servicer(on_request=lambda *_: gate.wait())) as url, gate:
        with pytest.raises(DeadlineExceeded):
            client.classify(url, photos[0], timeout_seconds=0.2)
        results = client.classify_many(url, photos[:1], timeout_seconds=0.2)

    assert best(results) == [DeadlineExceeded]


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_image_that_hangs_in_bulk_work_misses_its_deadline(client: Client, photos: list[bytes], servicer: Any) -> None:
    """Images before it and long after it get their classes."""
    requests = itertools.count()
    gate = Gate()
    hanging = servicer(on_request=lambda *_: gate.wait() if next(requests) == 3 else None)
    with serving(hanging) as url, gate:
        results = client.classify_many(url, photos * 4, concurrency=1, timeout_seconds=5)

    assert best(results) == [0, 1, 2, DeadlineExceeded, 1, 2, *[0, 1, 2] * 2]


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_server_that_is_restarted_loses_no_image(client: Client, photos: list[bytes], servicer: Any) -> None:
    """What was on its way when the connection broke is sent again to the new server."""
    with ExitStack() as first, ExitStack() as second:
        url = first.enter_context(serving(servicer()))

        def images() -> Iterator[bytes]:
            yield from photos * 2
            first.close()
            second.enter_context(serving(servicer(), address=url))
            yield from photos * 2

        results = client.classify_many(url, images(), concurrency=4)

    assert best(results) == [0, 1, 2] * 4


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_server_that_stops_in_order_loses_no_image(client: Client, photos: list[bytes], servicer: Any) -> None:
    """What the old server refuses while it stops goes to the new one."""
    stopping, refused = threading.Event(), threading.Event()

    def refuse(_: Any, context: grpc.ServicerContext) -> None:
        if stopping.is_set():
            refused.set()
            context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

    def restart() -> None:
        assert refused.wait(HANGING_SECONDS)
        first.close()
        second.enter_context(serving(servicer(), address=url))

    with ExitStack() as first, ExitStack() as second, ThreadPoolExecutor() as pool:
        url = first.enter_context(serving(servicer(on_request=refuse)))

        def images() -> Iterator[bytes]:
            yield from photos * 2
            stopping.set()
            yield from photos * 2

        restarted = pool.submit(restart)
        results = client.classify_many(url, images(), concurrency=4)
        restarted.result()

    assert best(results) == [0, 1, 2] * 4


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_server_that_stays_away_ends_bulk_work(
    client: Client, photos: list[bytes], servicer: Any, concurrency: int
) -> None:
    """The connection's error ends it: of images that hardly end, none is failed alone."""
    with ExitStack() as first:
        url = first.enter_context(serving(servicer()))

        def images() -> Iterator[bytes]:
            yield from photos
            first.close()
            yield from photos * 300

        with pytest.raises(ServerUnreachable):
            client.classify_many(url, images(), concurrency=concurrency, timeout_seconds=0.5)


def test_image_that_the_server_cannot_bear_fails_alone(client: Client, photos: list[bytes]) -> None:
    """A message above the server's limit breaks the whole stream, and yet costs no other image its classes."""
    huge = b"\xff\xd8\xff" + bytes(2_000_000)
    with serving(NativeServicer(), max_receive_message_length=1_000_000) as url:
        results = client.classify_many(url, [*photos, huge, *photos])

    assert best(results) == [0, 1, 2, InvalidImage, 0, 1, 2]


def test_overload_is_an_images_failure(client: Client, photos: list[bytes]) -> None:
    """A server that sheds load is worth asking again: bulk work goes on."""
    requests = itertools.count()

    def shed(_: Any, context: grpc.ServicerContext) -> None:
        if next(requests) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")

    with serving(PlainServicer(on_request=shed)) as url:
        results = client.classify_many(url, photos, concurrency=1)

    assert best(results) == [0, Overloaded, 2]


def test_nobody_is_unreachable_at_once(client: Client, photos: list[bytes]) -> None:
    """Every method says so in the same way."""
    with pytest.raises(ServerUnreachable, match="refused"):
        client.classify(NOBODY, photos[0])
    with pytest.raises(ServerUnreachable):
        client.classify_many(NOBODY, itertools.cycle(photos))
    for method in ("ping", "status"):
        with pytest.raises(ServerUnreachable):
            client.call(NOBODY, method)


def test_any_answer_is_a_sign_of_life(client: Client) -> None:
    """Even one that says that the question is not understood."""
    with serving(NativeServicer()) as url:
        client.call(url, "ping")
