"""Both clients against servers in this process, on good days and on bad ones."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from PIL import Image

from client import (
    AsyncClassifier,
    Classifier,
    DeadlineExceeded,
    ImageFailure,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RequestCancelled,
    ServerUnreachable,
    UnsupportedModel,
    status,
)
from tests.client.servicers import Gate, NativeServicer, PlainServicer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client import Result
    from tests.client.conftest import Client

NOBODY = "127.0.0.1:1"
HANGING_SECONDS = 60  # after which a test has failed


def best(results: list[Result]) -> list[int | type]:
    """Returns the best class of each image, or its failure's class."""
    return [type(each.error) if isinstance(each, ImageFailure) else each.best.index for each in results]


def test_native_server_gets_the_file_as_it_is(client: Client, folder: Path) -> None:
    """Names, classes and times come back; the labels are the server's."""
    with serving(NativeServicer()) as url:
        result = client.classify(url, folder / "green.JPG", top_k=2, request_id="r")

    assert (result.file, result.model, result.version) == (str(folder / "green.JPG"), "colour", "1")
    assert [(each.index, each.label) for each in result.classes] == [(1, "green: leaf"), (0, "red")]
    assert result.best.probability == pytest.approx(1.0, abs=1e-3)
    assert result.timing
    assert result.timing.compute_ns == 7


@pytest.mark.parametrize(
    ("datatype", "dims", "max_batch_size"),
    [("UINT8", (32, 32, 3), 4), ("FP32", (3, 20, 30), 4), ("UINT8", (20, 30, 3), 0), ("FP32", (3, 32, 32), 0)],
)
def test_plain_server_gets_the_tensor_it_wants(
    client: Client, photos: list[bytes], datatype: str, dims: tuple[int, ...], max_batch_size: int
) -> None:
    """A server without our service is recognised and gets decoded images, one or many."""
    with serving(PlainServicer(datatype, dims, max_batch_size)) as url:
        result = client.classify(url, photos[2], top_k=3)
        results = client.classify_many(url, photos * 3)

    assert result.best.label == "bleu café"
    assert (result.model, result.version, result.timing, len(result.classes)) == ("colour", "1", None, 3)
    assert best(results) == [0, 1, 2] * 3


def test_crop_is_the_models(client: Client, photos: list[bytes]) -> None:
    """A border that the model's crop leaves out does not change the answer."""
    framed = Image.new("RGB", (100, 100), (250, 10, 10))
    framed.paste(Image.open(io.BytesIO(photos[2])).resize((50, 50)), (25, 25))
    file = io.BytesIO()
    framed.save(file, "PNG")
    crop = 'parameters { key: "CROP_FRACTION" value { string_value: "0.5" } }'

    with serving(PlainServicer(config=crop)) as cropping, serving(PlainServicer()) as whole:
        assert client.classify(cropping, file.getvalue()).best.label == "bleu café"
        assert client.classify(whole, file.getvalue()).best.label == "red"


def test_protocol_is_asked_once(photos: list[bytes]) -> None:
    """After the first answer a plain server is not asked for our service again."""
    native = NativeServicer()
    with serving(native, PlainServicer()) as url, Classifier(url) as classifier:
        classifier.classify(photos[0])
        classifier.classify(photos[1])
    assert native.calls == ["Classify", "Classify"]

    plain = PlainServicer()
    with serving(plain) as url, Classifier(url) as classifier:
        assert best([classifier.classify(photo) for photo in photos]) == [0, 1, 2]
        assert classifier._conversation.settled
        assert not classifier._conversation._native


def test_bulk_work_uses_one_stream(client: Client, photos: list[bytes]) -> None:
    """After the first image, which finds out what the server speaks, all go through one call."""
    servicer = NativeServicer()
    with serving(servicer) as url:
        results = client.classify_many(url, photos * 10, concurrency=4)

    assert best(results) == [0, 1, 2] * 10
    assert servicer.calls == ["Classify", "ClassifyStream"]


def test_bulk_work_does_without_a_stream(client: Client, photos: list[bytes]) -> None:
    """A server that has only the unary call is served with that."""
    servicer = NativeServicer(has_stream=False)
    with serving(servicer) as url:
        results = client.classify_many(url, photos * 4, concurrency=1)

    assert best(results) == [0, 1, 2] * 4
    assert servicer.calls.count("Classify") == 12
    assert 1 <= servicer.calls.count("ClassifyStream") < 11


def test_bulk_work_for_a_plain_server_goes_in_batches(client: Client, photos: list[bytes]) -> None:
    """Requests hold several images, never more than the model takes nor half of what may be on its way."""
    sizes: list[int] = []
    with serving(
        PlainServicer(max_batch_size=4, on_request=lambda request, _: sizes.append(request.inputs[0].shape[0]))
    ) as url:
        many = client.classify_many(url, photos * 20, concurrency=64)
        in_many, sizes[:] = list(sizes), []
        few = client.classify_many(url, photos * 4, concurrency=4)

    assert best(many) == [0, 1, 2] * 20
    assert best(few) == [0, 1, 2] * 4
    assert (max(in_many), max(sizes)) == (4, 2)


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_failing_images_stand_in_their_places(
    client: Client, photos: list[bytes], tmp_path: Path, servicer: Any
) -> None:
    """An unreadable file and broken bytes fail alone, with a reason, wherever they stand."""
    images = [b"broken", photos[0], tmp_path / "absent.jpg", photos[1], b"", photos[2], photos[2][:60]]
    with serving(servicer()) as url:
        results = client.classify_many(url, images)

    assert best(results) == [InvalidImage, 0, InvalidImage, 1, InvalidImage, 2, InvalidImage]
    assert isinstance(results[2], ImageFailure)
    assert results[2].file == str(tmp_path / "absent.jpg")
    assert "No such file" in str(results[2].error)


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_failing_image_is_raised_on_request(client: Client, photos: list[bytes], servicer: Any) -> None:
    """Who wants only classifications gets an exception at the first failure."""
    with serving(servicer()) as url:
        with pytest.raises(InvalidImage):
            client.classify_many(url, [photos[0], b"broken"], on_error="raise")
        with pytest.raises(InvalidImage):
            client.classify(url, b"broken")


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_endless_images_are_taken_as_there_is_room(photos: list[bytes], servicer: Any) -> None:
    """Memory stays constant: images are taken only as results are."""
    taken = 0

    def images() -> Iterator[bytes]:
        nonlocal taken
        for photo in itertools.cycle(photos):
            taken += 1
            yield photo

    with serving(servicer()) as url, Classifier(url) as classifier:
        results = classifier.classify_many(images(), concurrency=8)
        for seen, result in enumerate(itertools.islice(results, 60), 1):
            assert best([result]) == [(seen - 1) % 3]
            assert taken - seen <= 12
    assert taken < 80


def test_missing_model_ends_bulk_work(client: Client, photos: list[bytes]) -> None:
    """What holds for every image is raised, with the server's words."""
    with serving(PlainServicer()) as url, pytest.raises(ModelNotFound, match="'other' is not found"):
        client.classify_many(url, photos, model="other")


def test_only_ready_model_needs_no_name(client: Client, photos: list[bytes]) -> None:
    """Several choices are listed; none is said."""
    with serving(PlainServicer(models=("one",))) as url:
        assert client.classify(url, photos[0]).model == "one"
    with serving(PlainServicer(models=("two", "one"))) as url, pytest.raises(ModelNotFound, match="one, two"):
        client.classify(url, photos[0])
    with serving(PlainServicer(models=())) as url, pytest.raises(ModelNotFound, match="no model"):
        client.classify(url, photos[0])


def test_model_that_takes_no_images_is_unsupported(client: Client, photos: list[bytes]) -> None:
    """A plain server's model is looked at before pixels are made for it."""
    with serving(PlainServicer("FP32", (5,))) as url, pytest.raises(UnsupportedModel):
        client.classify_many(url, photos)


def test_changed_model_is_asked_anew(photos: list[bytes]) -> None:
    """When a reload changes the input's shape, one request fails and the next one fits."""
    servicer = PlainServicer(dims=(32, 32, 3))
    with serving(servicer) as url, Classifier(url) as classifier:
        classifier.classify(photos[0])
        servicer.dims = (16, 16, 3)
        with pytest.raises(InvalidRequest, match="unexpected shape"):
            classifier.classify(photos[0])
        assert best([classifier.classify(photos[1])]) == [1]


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
        results = client.classify_many(url, photos * 4, concurrency=1, timeout_seconds=1.5)

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


def test_file_object_is_read_once_whatever_the_server_speaks(client: Client, photos: list[bytes]) -> None:
    """That the server has not our service is learned after the image was read."""
    file = io.BytesIO(photos[1])
    file.name = "leaf.png"
    with serving(PlainServicer()) as url:
        result = client.classify(url, file)

    assert (result.file, result.best.index) == ("leaf.png", 1)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
def test_server_that_stays_away_ends_bulk_work(
    client: Client, photos: list[bytes], servicer: Any, concurrency: int
) -> None:
    """The results so far are there, then the connection's error, after the deadline and not after each image's."""
    with ExitStack() as first:
        url = first.enter_context(serving(servicer()))

        def images() -> Iterator[bytes]:
            yield from photos
            first.close()
            yield from itertools.cycle(photos)

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


def test_large_images_pass(client: Client, photos: list[bytes]) -> None:
    """A message may be larger than gRPC's default of 4 MiB."""
    large = photos[0] + bytes(6_000_000)
    with serving(NativeServicer(), max_receive_message_length=-1) as url:
        assert client.classify(url, large).best.index == 0


def test_breaking_off_stops_the_stream(photos: list[bytes]) -> None:
    """Who leaves the loop early leaves nothing running on the server."""
    with serving(NativeServicer()) as url, Classifier(url) as classifier:
        for result in classifier.classify_many(itertools.cycle(photos)):
            assert best([result]) == [0]
            break
        assert best([classifier.classify(photos[1])]) == [1]


@pytest.mark.parametrize("servicer", [NativeServicer, PlainServicer])
async def test_closing_ends_bulk_work_that_was_broken_off(photos: list[bytes], servicer: Any) -> None:
    """No task outlives the client and none fails unheard, though nobody closed the iterator."""
    with serving(servicer()) as url:
        async with AsyncClassifier(url) as classifier:
            results = classifier.classify_many(itertools.cycle(photos))
            assert best([await anext(results) for _ in range(4)]) == [0, 1, 2, 0]
        running = {task for task in asyncio.all_tasks() if "carry_out" in repr(task)}

    assert running == set()


async def test_closed_clients_say_so(photos: list[bytes]) -> None:
    """Using a client after its end is an error of the client's own kind."""
    with serving(NativeServicer()) as url:
        with Classifier(url) as classifier:
            classifier.ping()
        with pytest.raises(RequestCancelled, match="closed"):
            classifier.classify(photos[0])
        async with AsyncClassifier(url) as async_classifier:
            await async_classifier.ping()
        with pytest.raises(RequestCancelled, match="closed"):
            await async_classifier.classify(photos[0])
        with pytest.raises(RequestCancelled, match="closed"):
            await async_classifier.ping()


@pytest.mark.parametrize(
    "arguments", [{"top_k": 0}, {"timeout_seconds": 0.0}, {"timeout_seconds": float("nan")}, {"timeout_seconds": -1.0}]
)
def test_senseless_arguments_are_rejected_at_once(client: Client, photos: list[bytes], arguments: Any) -> None:
    """A wrong call is told from a failed one, before anything is sent."""
    with pytest.raises(ValueError, match="above 0"):
        client.classify(NOBODY, photos[0], **arguments)
    with pytest.raises(ValueError, match="above 0"):
        client.classify_many(NOBODY, photos, **arguments)
    with pytest.raises(ValueError, match="above 0"):
        client.classify_many(NOBODY, photos, concurrency=0)


def test_values_that_fit_into_no_message_are_rejected_at_once(client: Client, photos: list[bytes]) -> None:
    """So are words that mean nothing."""
    with pytest.raises(ValueError, match="top_k must be at most 2147483647"):
        client.classify(NOBODY, photos[0], top_k=2**31)
    with pytest.raises(ValueError, match="on_error must be 'return' or 'raise', not 'retrun'"):
        client.classify_many(NOBODY, photos, on_error="retrun")


def test_endless_deadlines_are_long_ones(client: Client, photos: list[bytes]) -> None:
    """A deadline further away than gRPC can count has not passed."""
    with serving(NativeServicer()) as url:
        assert client.classify(url, photos[0], timeout_seconds=math.inf).best.index == 0
        assert best(client.classify_many(url, photos, timeout_seconds=1e300)) == [0, 1, 2]


async def test_tasks_share_an_async_classifier(photos: list[bytes]) -> None:
    """Answers find the tasks that asked."""
    with serving(NativeServicer()) as url:
        async with AsyncClassifier(url) as classifier:
            results = await asyncio.gather(*(classifier.classify(photo) for photo in photos * 5))

    assert best(list(results)) == [0, 1, 2] * 5


def test_status_is_also_a_function() -> None:
    """One call is enough to ask a server."""
    with pytest.raises(ServerUnreachable):
        status(NOBODY)
