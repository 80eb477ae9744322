"""Both clients against servers in this process."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from PIL import Image

from client import (
    AsyncClassifier,
    Classifier,
    ImageFailure,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    RequestCancelled,
    ServerUnreachable,
    UnsupportedModel,
    status,
)
from tests.client.conftest import NOBODY, best
from tests.client.servicers import Gate, NativeServicer, PlainServicer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.client.conftest import Client


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

    absent = NativeServicer(on_request=lambda _, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, "not here"))
    with serving(absent, PlainServicer()) as url, Classifier(url) as classifier:
        assert best([classifier.classify(photo) for photo in photos]) == [0, 1, 2]
    assert absent.calls == ["Classify"]


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


def test_file_object_is_read_once_whatever_the_server_speaks(client: Client, photos: list[bytes]) -> None:
    """That the server has not our service is learned after the image was read."""
    file = io.BytesIO(photos[1])
    file.name = "leaf.png"
    with serving(PlainServicer()) as url:
        result = client.classify(url, file)

    assert (result.file, result.best.index) == ("leaf.png", 1)


def test_large_images_pass(client: Client, photos: list[bytes]) -> None:
    """A message may be larger than gRPC's default of 4 MiB."""
    large = photos[0] + bytes(6_000_000)
    with serving(NativeServicer(), max_receive_message_length=-1) as url:
        assert client.classify(url, large).best.index == 0


def test_breaking_off_stops_the_stream(photos: list[bytes]) -> None:
    """Who leaves the loop early leaves nothing running on the server, and goes on with the same client."""
    ended = threading.Event()

    def watch(_: object, context: grpc.ServicerContext) -> None:
        if servicer.calls[-1] == "ClassifyStream":
            context.add_callback(ended.set)

    servicer = NativeServicer(on_request=watch)
    with serving(servicer) as url, Classifier(url) as classifier:
        results = classifier.classify_many(itertools.cycle(photos))
        assert best(itertools.islice(results, 4)) == [0, 1, 2, 0]
        assert not ended.is_set()
        results.close()
        assert ended.wait(10)
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


@pytest.mark.parametrize("many", [False, True])
async def test_closing_tells_who_waits(photos: list[bytes], many: bool) -> None:  # noqa: FBT001 - a case of the test
    """Who waits when the client is closed gets an error of the client's; a task that is cancelled is cancelled."""
    gate = Gate()
    with serving(NativeServicer(on_request=lambda *_: gate.wait())) as url, gate:
        classifier = AsyncClassifier(url, timeout_seconds=100)

        async def classify() -> None:
            if many:
                await anext(classifier.classify_many(photos))
            else:
                await classifier.classify(photos[0])

        waiting, given_up = (asyncio.create_task(classify()) for _ in range(2))
        await asyncio.to_thread(gate.reached.wait)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await classifier.close()
        with pytest.raises(RequestCancelled, match="closed"):
            await waiting


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
