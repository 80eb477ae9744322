from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from proto import classifier_pb2_grpc
from tests.integration.books import Account, check_books
from tests.integration.control import load, unload
from tests.integration.images import bomb, classify, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import ServerProcess

LABELS = ["red", "green", ""]  # as the shared server's models have them


def best(result: Any) -> tuple[int, str]:
    """The most probable class of an image: its index and label."""
    assert not result.HasField("error"), result
    return result.classes[0].index, result.classes[0].label


@pytest.fixture
def classifier(channel: grpc.Channel) -> Any:
    """The Classifier of the shared server."""
    return classifier_pb2_grpc.ClassifierStub(channel)


@pytest.mark.parametrize("model", ["colours", "planes"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_image_files_are_classified_whatever_input_the_model_takes(classifier: Any, model: str, kind: str) -> None:
    """Each format, for a model of uint8 pixels and one of float32 planes: same classes, same probabilities."""
    images = [picture(200, 40, 10, kind), picture(20, 220, 10, kind), picture(5, 40, 230, kind)]
    response = classifier.Classify(classify(*images, model=model, request_id="mine"))
    assert (response.model_name, response.model_version, response.request_id) == (model, "1", "mine")
    assert [best(result) for result in response.results] == list(enumerate(LABELS))
    probabilities = {item.index: item.probability for item in response.results[0].classes}
    assert probabilities == pytest.approx({0: 0.8, 1: 0.16, 2: 0.04}, abs=0.02)
    for result in response.results:
        assert [item.probability for item in result.classes] == sorted(
            (item.probability for item in result.classes), reverse=True
        )


def test_a_bad_image_gets_an_error_of_its_own(server: ServerProcess, classifier: Any) -> None:
    """Of several images those that cannot be decoded say why, in their places; all others are classified."""
    account = Account(server, "colours", "Classify")
    good, cut, blue = picture(200, 0, 0), picture(0, 200, 0, "JPEG")[:-40], picture(0, 0, 200)
    images = [good, b"no image", blue, b"", cut, bomb(), good + bytes(1 << 20), good]
    results = classifier.Classify(classify(*images)).results
    errors = [result.error.code for result in results]
    assert errors == [0, 3, 0, 3, 3, 3, 3, 0]
    assert all(result.error.message for result in results if result.error.code)
    assert not any(result.classes for result in results if result.error.code)
    assert [best(results[place]) for place in (0, 2, 7)] == [(0, "red"), (2, ""), (0, "red")]
    settled = account.settle()
    assert (settled["success"], settled["OTHER"]) == (3, 5)


def test_a_request_of_bad_images_alone_is_answered(classifier: Any) -> None:
    """That no image could be decoded is told image by image; the call itself does not fail."""
    results = classifier.Classify(classify(b"no image", b"nor this")).results
    assert [result.error.code for result in results] == [grpc.StatusCode.INVALID_ARGUMENT.value[0]] * 2


@pytest.mark.parametrize(("top_k", "count"), [(0, 3), (1, 1), (2, 2), (3, 3), (2**32 - 1, 3)])
def test_top_k_bounds_the_classes(classifier: Any, top_k: int, count: int) -> None:
    """0 stands for 5; more than the model has stands for all of them."""
    (result,) = classifier.Classify(classify(picture(1, 2, 3), top_k=top_k)).results
    assert [item.index for item in result.classes] == [2, 1, 0][:count]


def test_timing_adds_up(classifier: Any) -> None:
    """Decoding, waiting and computing are parts of the whole, and batches are no larger than the model allows."""
    images = [picture(shade, 9, 9, "JPEG", (640, 480)) for shade in range(40)]
    for result in classifier.Classify(classify(*images)).results:
        timing = result.timing
        parts = (timing.decode_ns, timing.queue_ns, timing.compute_ns)
        assert min(parts[0], parts[2]) > 0
        assert sum(parts) <= timing.total_ns < 60e9
        assert 1 <= timing.batch_size <= 8


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        (classify(b"x", model="nothing"), grpc.StatusCode.NOT_FOUND, "unknown model: 'nothing'"),
        (classify(b"x", model_version="7"), grpc.StatusCode.NOT_FOUND, "version 7 is not found"),
        (classify(b"x", model_version="one"), grpc.StatusCode.INVALID_ARGUMENT, "version string 'one'"),
        (classify(), grpc.StatusCode.INVALID_ARGUMENT, "no images"),
        (classify(b"x", model="worker"), grpc.StatusCode.INVALID_ARGUMENT, "'worker' does not classify images"),
        (classify(b"x", model=""), grpc.StatusCode.INVALID_ARGUMENT, "must name a model.* colours, planes"),
    ],
    ids=["model", "version", "version text", "no image", "no classifier", "no name"],
)
def test_a_request_that_fails_as_a_whole_says_why(
    classifier: Any, wrong: Any, code: grpc.StatusCode, text: str
) -> None:
    """Alone, as a status; in a stream, as that request's error, and the stream goes on."""
    with pytest.raises(grpc.RpcError, match=text) as caught:
        classifier.Classify(wrong)
    assert caught.value.code() is code
    wrong.request_id = "w"
    good = classify(picture(200, 0, 0), request_id="g")
    first, failed, last = classifier.ClassifyStream(iter([good, wrong, good]))
    assert best(first.results[0]) == best(last.results[0]) == (0, "red")
    assert (failed.request_id, failed.error.code, list(failed.results)) == ("w", code.value[0], [])
    assert caught.value.details() == failed.error.message


def test_an_empty_name_means_the_only_classifier(inference: Any, classifier: Any) -> None:
    """A request need not name the model where there is no choice."""
    unload(inference, "planes")
    try:
        response = classifier.Classify(classify(picture(0, 200, 0), model=""))
    finally:
        load(inference, "planes")
    assert response.model_name == "colours"
    assert best(response.results[0]) == (1, "green")


def test_a_bulk_stream_answers_each_request_in_its_turn(server: ServerProcess, classifier: Any) -> None:
    """Hundreds of images through one stream, good and bad: results in order, nothing lost, nothing left behind."""
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    files = [picture(*colour, "JPEG") for colour in colours]

    def requests() -> Iterator[Any]:
        for number in range(300):
            images = [files[number % 3], b"junk"] if number % 10 == 0 else [files[number % 3]]
            yield classify(*images, request_id=str(number))

    responses = list(classifier.ClassifyStream(requests()))
    assert [response.request_id for response in responses] == [str(number) for number in range(300)]
    assert [best(response.results[0])[0] for response in responses] == [number % 3 for number in range(300)]
    assert {len(response.results) for response in responses[::10]} == {2}
    assert all(response.results[1].error.code == 3 for response in responses[::10])
    check_books(server)


@pytest.mark.parametrize("streamed", [False, True], ids=["in one request", "in a stream"])
def test_bulk_work_waits_for_places_in_a_short_queue(classifier: Any, *, streamed: bool) -> None:
    """More images than may wait for the model are a matter of time, not of errors."""
    image = picture(200, 40, 10, "JPEG")
    if streamed:
        responses = list(classifier.ClassifyStream(classify(image, model="planes") for _ in range(100)))
    else:
        responses = [classifier.Classify(classify(*[image] * 100, model="planes"))]
    results = [result for response in responses for result in response.results]
    assert [best(result) for result in results] == [(0, "red")] * 100


def test_a_stream_that_is_cancelled_leaves_nothing_behind(server: ServerProcess, classifier: Any) -> None:
    """A caller that leaves amid decoding and computing costs no place and no account."""
    image = picture(10, 200, 30, "JPEG", (1600, 1200))
    stream = classifier.ClassifyStream(classify(image) for _ in range(1000))
    assert best(next(stream).results[0]) == (1, "green")
    stream.cancel()
    check_books(server)
    (result,) = classifier.Classify(classify(image)).results
    assert best(result) == (1, "green")
