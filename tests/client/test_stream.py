"""Both clients' streams against servers that handle theirs strangely."""

# ruff: noqa: N802 - names are gRPC's
from __future__ import annotations

import asyncio
import itertools
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from client import Classifier, DeadlineExceeded, RequestCancelled, ServerUnreachable
from client.async_stream import AsyncStream
from client.channel import methods
from client.native import classify_request
from client.stream import Stream
from tests.client.servicers import Gate, NativeServicer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.client.conftest import Client


def close_when_reached(gate: Gate, closable: Stream | Classifier) -> None:
    """Waits until a request hangs at the gate."""
    gate.reached.wait()
    closable.close()


class HalfEndedCall(grpc.RpcError):
    """A call as gRPC leaves some when a connection breaks: it has a status, and whoever reads it waits for ever."""

    def __init__(self, requests: Iterator[Any]) -> None:
        self._requests = requests
        self._ended: Callable[[Any], None] = print
        self.released = threading.Event()

    def add_done_callback(self, ended: Callable[[Any], None]) -> None:
        """Notes whom to tell."""
        self._ended = ended

    def __iter__(self) -> Iterator[Any]:
        """Takes a request, tells the status, and has no answer."""
        next(self._requests)
        self._ended(self)
        self.released.wait()
        return iter(())

    def code(self) -> grpc.StatusCode:
        """The status."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """Its text."""
        return "Socket closed"


class EndingServicer(NativeServicer):
    """Ends each stream after two answers, as a server does that wants its callers to connect anew."""

    def ClassifyStream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """Answers the first two requests."""
        return itertools.islice(super().ClassifyStream(requests, context), 2)


class TwiceServicer(NativeServicer):
    """Gives each answer twice."""

    def ClassifyStream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """Answers a request with two responses."""
        for response in super().ClassifyStream(requests, context):
            yield response
            yield response


class AttentiveServicer(NativeServicer):
    """Notes how its streams end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: SimpleQueue[bool] = SimpleQueue()

    def ClassifyStream(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """Answers each request, and notes whether the caller has closed its side by then."""
        yield from super().ClassifyStream(requests, context)
        self.ends.put(context.is_active())


def test_stream_whose_questions_are_all_answered_ends_well(client: Client, photos: list[bytes]) -> None:
    """Servers count calls that are cancelled as failed ones, and nothing has failed."""
    servicer = AttentiveServicer()
    with serving(servicer) as url:
        results = client.classify_many(url, photos, on_error="raise", concurrency=1)

        assert len(results) == len(photos)
        assert servicer.ends.get(timeout=60) is True


def test_stream_that_ends_early_is_opened_again(client: Client, photos: list[bytes]) -> None:
    """No image is lost when the server closes the stream."""
    servicer = EndingServicer()
    with serving(servicer) as url:
        results = client.classify_many(url, photos * 5, on_error="raise", concurrency=1)

    assert [result.best.index for result in results] == [0, 1, 2] * 5  # type: ignore[union-attr]  # no failures
    assert servicer.calls.count("ClassifyStream") > 1


def test_server_that_answers_too_often_harms_nobody(client: Client, photos: list[bytes]) -> None:
    """A spare answer that nobody waits for ends the stream; the images are asked for again, one by one."""
    with serving(TwiceServicer()) as url:
        results = client.classify_many(url, [photos[0]] * 6, on_error="raise", concurrency=1)

    assert [result.best.index for result in results] == [0] * 6  # type: ignore[union-attr]  # no failures


def test_threads_get_their_own_answers(photos: list[bytes]) -> None:
    """Any number of threads may ask at once."""
    answers: dict[int, str] = {}

    def ask(stream: Stream, index: int) -> None:
        request = classify_request(photos[index % 3], "", "", 1, str(index))
        response = stream.ask(request, 10)
        answers[index] = f"{response.request_id}:{response.results[0].classes[0].index}"

    with serving(NativeServicer()) as url, grpc.insecure_channel(url) as channel:
        stream = Stream(methods(channel)["ClassifyStream"])
        threads = [threading.Thread(target=ask, args=(stream, index)) for index in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stream.close()

    assert answers == {index: f"{index}:{index % 3}" for index in range(12)}


def test_closed_stream_gives_up_and_asks_no_more(photos: list[bytes]) -> None:
    """Who waits for an answer hears that it will not come; who asks later hears so at once."""
    gate = Gate()
    request = classify_request(photos[0], "", "", 1)
    with serving(NativeServicer(on_request=lambda *_: gate.wait())) as url, gate, grpc.insecure_channel(url) as channel:
        stream = Stream(methods(channel)["ClassifyStream"])
        closer = threading.Thread(target=close_when_reached, args=(gate, stream))
        closer.start()
        for _ in range(2):
            with pytest.raises(RequestCancelled):
                stream.ask(request, 10)
        closer.join()


async def test_deadline_of_one_question_ends_the_call_of_the_others(photos: list[bytes]) -> None:
    """Answers come in order, so one that is stuck holds up all that follow; they hear of it and can ask again."""
    gate = Gate()
    request = classify_request(photos[0], "", "", 1)
    with serving(NativeServicer(on_request=lambda *_: gate.wait())) as url, gate:
        async with grpc.aio.insecure_channel(url) as channel:
            stream = AsyncStream(methods(channel)["ClassifyStream"])
            impatient = asyncio.create_task(stream.ask(request, 0.2))
            patient = asyncio.create_task(stream.ask(request, 60))
            with pytest.raises(DeadlineExceeded):
                await impatient
            with pytest.raises(RequestCancelled):
                await patient
            await stream.close()


async def test_a_question_that_comes_too_late_harms_no_other(photos: list[bytes]) -> None:
    """Whose deadline has passed before it could be asked is not sent, and the call goes on."""
    gate = Gate()
    request = classify_request(photos[0], "", "", 1)
    servicer = NativeServicer(on_request=lambda *_: gate.wait())
    with serving(servicer) as url, gate:
        async with grpc.aio.insecure_channel(url) as channel:
            stream = AsyncStream(methods(channel)["ClassifyStream"])
            patient = asyncio.create_task(stream.ask(request, 60))
            await asyncio.to_thread(gate.reached.wait)
            with pytest.raises(DeadlineExceeded, match="before the request was sent"):
                await stream.ask(request, -1)
            gate.open()
            assert (await patient).results
            await stream.close()
        with grpc.insecure_channel(url) as channel, pytest.raises(DeadlineExceeded, match="before the request was"):
            Stream(methods(channel)["ClassifyStream"]).ask(request, 0)


def test_a_status_ends_a_call_that_never_ends_being_read(photos: list[bytes]) -> None:
    """Who waits is told, and the next question opens a new call."""
    calls: list[HalfEndedCall] = []

    def open_call(requests: Iterator[Any]) -> HalfEndedCall:
        calls.append(HalfEndedCall(requests))
        return calls[-1]

    stream = Stream(open_call)
    for _ in range(2):
        with pytest.raises(ServerUnreachable, match="Socket closed"):
            stream.ask(classify_request(photos[0], "", "", 1), 60)
    assert len(calls) == 2
    for call in calls:
        call.released.set()


def test_threads_end_with_the_client(photos: list[bytes]) -> None:
    """Closing the client ends bulk work that hangs, and no thread of it is left."""
    before = set(threading.enumerate())
    gate = Gate()
    requests = itertools.count()
    hanging = NativeServicer(on_request=lambda *_: gate.wait() if next(requests) else None)
    with serving(hanging) as url, gate:
        classifier = Classifier(url)
        results = classifier.classify_many(itertools.cycle(photos), concurrency=4)
        next(results)
        closer = threading.Thread(target=close_when_reached, args=(gate, classifier))
        closer.start()
        with pytest.raises(RequestCancelled):
            next(results)
        closer.join()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
