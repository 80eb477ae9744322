from __future__ import annotations

import asyncio
import gc
import io
import math
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import imaging
from proto import classifier_pb2
from server.errors import DeadlineUnreachable, InvalidRequest, ModelNotFound, ModelNotReady, ServingError
from server.load_error import LoadError
from server.services import images
from server.services.classifier import ClassifierServicer
from server.services.delivery import Delivery
from server.services.images import ImageDecoder
from tests.server.models import ROW, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Colours, Constant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from server.repository import ModelRepository

_CONFIG = """
    platform: "pytorch_libtorch"  max_batch_size: 4  instance_group [ { count: 1 } ]  dynamic_batching { }
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 8, 8, 3 ] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" } ]
"""
_CAPACITY = 8


class Call:
    """What a servicer knows of a call."""

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.reasons: list[str] = []

    def failed(self, error: ServingError) -> None:
        """Note the reason."""
        self.reasons.append(error.reason)

    part_failed = failed

    def each(self, answer: Any) -> Any:
        """Nobody observes the messages of a stream."""
        return answer


def _image(red: int, green: int, blue: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), (red, green, blue), np.uint8)).save(file, "PNG")
    return file.getvalue()


_RED, _GREEN = _image(200, 40, 10), _image(40, 200, 10)


def _write_classifier(directory: Path, name: str) -> None:
    (directory / name).mkdir(exist_ok=True)
    (directory / name / "labels.txt").write_text("red\ngreen\n")
    write_model(directory / name, Colours(channels_first=False), _CONFIG)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    """A repository with one model that classifies images and one that does not."""
    _write_classifier(tmp_path, "colours")
    write_model(tmp_path / "constant", Constant(1), ROW)
    repository = open_repository(tmp_path)
    repository.load_all(["colours", "constant"], lambda: False)
    yield repository
    assert repository.close(HANGING_SECONDS)


@pytest.fixture
async def servicer(repository: ModelRepository) -> AsyncIterator[ClassifierServicer]:
    """The service, in this test's event loop."""
    decoder = ImageDecoder(2, imaging.DEFAULT_LIMITS, _CAPACITY)
    yield ClassifierServicer(repository, Delivery(), decoder)
    decoder.close()


def _request(*files: bytes, **fields: Any) -> Any:
    return classifier_pb2.ClassifyRequest(images=files, **fields)


async def test_images_are_classified_in_their_order(servicer: ClassifierServicer, repository: ModelRepository) -> None:
    """Each image gets its classes, most probable first, with the labels that there are."""
    request = _request(_RED, _GREEN, _RED, model_name="colours", request_id="r7")
    response = await servicer.Classify(request, Call())
    assert (response.model_name, response.model_version, response.request_id) == ("colours", "1", "r7")
    names = [[each.label for each in result.classes] for result in response.results]
    assert names == [["red", "green", ""], ["green", "red", ""], ["red", "green", ""]]
    assert [each.index for each in response.results[1].classes] == [1, 0, 2]
    assert response.results[0].classes[0].probability == pytest.approx(0.8)
    statistics = repository.get("colours").statistics
    assert (statistics.success.count, statistics.inference_count, statistics.fail.count) == (3, 3, 0)


async def test_each_image_tells_where_its_time_went(servicer: ClassifierServicer) -> None:
    """Decoding, waiting and computing are parts of the whole."""
    [result] = (await servicer.Classify(_request(_RED), Call())).results
    timing = result.timing
    assert min(timing.decode_ns, timing.queue_ns, timing.compute_ns) > 0
    assert timing.decode_ns + timing.queue_ns + timing.compute_ns <= timing.total_ns
    assert timing.batch_size == 1


async def test_siblings_are_not_waited_for_in_the_latency(
    servicer: ClassifierServicer, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image whose request has too many others comes late by its caller's choice: in flight are those at work."""
    monkeypatch.setattr("server.services.share.AT_ONCE", 2)
    gate = threading.Event()
    monkeypatch.setattr(images.imaging, "decode_crop", lambda *_arguments: gate.wait())
    call = asyncio.ensure_future(servicer.Classify(_request(*[_RED] * 5), Call()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert repository.get("colours").statistics.in_flight == 2
    call.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_bug_that_one_image_meets_ends_its_siblings(
    servicer: ClassifierServicer, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for their results any more: none of them is left at work."""
    gate = threading.Event()

    def decode(content: bytes, *_: Any) -> None:
        if content == _GREEN:
            raise RuntimeError("a bug")
        gate.wait()

    monkeypatch.setattr(images.imaging, "decode_crop", decode)
    try:
        with pytest.raises(RuntimeError, match="a bug"):
            await servicer.Classify(_request(_RED, _GREEN), Call())
    finally:
        gate.set()
    assert repository.get("colours").statistics.in_flight == 0


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (3, 3), (0, 3), (1 << 31, 3)])
async def test_as_many_classes_as_asked_for(servicer: ClassifierServicer, top_k: int, count: int) -> None:
    """0 stands for the default of five, and more than there are for all."""
    response = await servicer.Classify(_request(_RED, top_k=top_k), Call())
    assert len(response.results[0].classes) == count


async def test_a_damaged_image_harms_no_other(servicer: ClassifierServicer, repository: ModelRepository) -> None:
    """It has an error in its place, which is counted, and the others have their classes."""
    call = Call()
    response = await servicer.Classify(_request(_RED, b"no image", _GREEN), call)
    assert [bool(result.classes) for result in response.results] == [True, False, True]
    assert response.results[1].error.code == 3
    assert "not an image" in response.results[1].error.message
    assert call.reasons == ["invalid_image"]
    statistics = repository.get("colours").statistics
    assert (statistics.failures["OTHER"], sum(statistics.decode_seconds.counts)) == (1, 2)


async def test_images_that_are_all_damaged_are_an_answer(servicer: ClassifierServicer) -> None:
    """The call succeeds, for each image was tried."""
    call = Call()
    response = await servicer.Classify(_request(b"", b"no image"), call)
    assert [result.error.code for result in response.results] == [3, 3]
    assert call.reasons == ["invalid_image"] * 2


async def test_a_request_that_cannot_be_tried_fails_as_a_whole(
    servicer: ClassifierServicer, repository: ModelRepository
) -> None:
    """When no image finds a place in time the call has that status, and each image is counted."""
    call = Call(deadline=-1.0)
    with pytest.raises(DeadlineUnreachable):
        await servicer.Classify(_request(_RED, _GREEN), call)
    assert call.reasons == ["deadline"]  # the other one counts with the call, where it is answered
    assert repository.get("colours").statistics.failures["REJECTED"] == 2


async def test_a_request_that_cannot_be_tried_is_not_kept(servicer: ClassifierServicer) -> None:
    """Under overload no refusal waits, with its images, for the garbage collector."""
    gc.disable()
    try:
        with pytest.raises(DeadlineUnreachable) as caught:
            await servicer.Classify(_request(_RED), Call(deadline=-1.0))
        trace = weakref.ref(caught.value)
        del caught
        assert trace() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("request_message", "error", "text"),
    [
        (_request(), InvalidRequest, "the request has no images"),
        (_request(_RED, model_name="constant"), InvalidRequest, "model 'constant' does not classify images"),
        (_request(_RED, model_name="other"), ModelNotFound, "unknown model: 'other' is not found"),
        (_request(_RED, model_name="colours", model_version="2"), ModelNotFound, "version 2 is not found"),
        (_request(_RED, model_version="x"), InvalidRequest, "version string 'x'"),
        (_request(*[_RED] * (_CAPACITY + 1)), InvalidRequest, "has 9 images, but no more than 8 can wait"),
        (_request(*[b""] * 100_000), InvalidRequest, "has 100000 images"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told(
    servicer: ClassifierServicer, request_message: Any, error: type[ServingError], text: str
) -> None:
    """Wrong names, versions and numbers of images are refused before anything is decoded."""
    with pytest.raises(error, match=text):
        await servicer.Classify(request_message, Call())


async def test_the_only_classifier_needs_no_name(
    servicer: ClassifierServicer, repository: ModelRepository, tmp_path: Path
) -> None:
    """Without a name the one model that classifies images is meant; among several the request must choose."""
    assert (await servicer.Classify(_request(_RED), Call())).model_name == "colours"
    _write_classifier(tmp_path, "another")
    repository.load("another")
    with pytest.raises(InvalidRequest, match=r"must name a model .*; those that classify images: another, colours"):
        await servicer.Classify(_request(_RED), Call())
    for name in ("another", "colours"):
        repository.unload(name)
    with pytest.raises(InvalidRequest, match="those that classify images: none"):
        await servicer.Classify(_request(_RED), Call())


async def test_without_a_name_while_models_load(servicer: ClassifierServicer, repository: ModelRepository) -> None:
    """Before the first model is ready it is said that some are being loaded, and that it is worth coming again."""
    repository.unload("colours")
    repository.expect(["another", "colours"])
    with pytest.raises(ModelNotReady, match="ready yet; being loaded: another, colours"):
        await servicer.Classify(_request(_RED), Call())
    repository.load("colours")
    assert (await servicer.Classify(_request(_RED), Call())).model_name == "colours"


async def test_without_a_name_where_models_failed(
    servicer: ClassifierServicer, repository: ModelRepository, tmp_path: Path
) -> None:
    """A server whose models did not load does not blame the caller, who may come again."""
    repository.unload("colours")
    (tmp_path / "colours" / "1" / "model.pt").write_bytes(b"no module")
    with pytest.raises(LoadError):
        repository.load("colours")
    with pytest.raises(ModelNotReady, match="no model that classifies images answers; not ready: colours"):
        await servicer.Classify(_request(_RED), Call())


async def test_a_stream_goes_on_after_a_request_that_fails(servicer: ClassifierServicer) -> None:
    """Each request of a stream has its answer in its turn, one that fails as a whole an error."""
    call = Call()
    files = [[_RED], [], [_GREEN, b"no image"], [_RED]]

    async def requests() -> AsyncIterator[Any]:
        for number, each in enumerate(files):
            yield _request(*each, model_name="colours", request_id=f"r{number}")

    responses = [response async for response in servicer.ClassifyStream(requests(), call)]
    assert [response.request_id for response in responses] == ["r0", "r1", "r2", "r3"]
    assert [len(response.results) for response in responses] == [1, 0, 2, 1]
    assert (responses[1].error.code, responses[1].error.message) == (3, "the request has no images")
    assert [response.HasField("error") for response in responses] == [False, True, False, False]
    assert sorted(call.reasons) == ["invalid", "invalid_image"]


async def test_a_caller_that_leaves_while_its_image_is_decoded_is_counted(
    servicer: ClassifierServicer, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image has one outcome, also one that never reached the model."""
    gate = threading.Event()
    monkeypatch.setattr(images.imaging, "decode_crop", lambda *_arguments: gate.wait())
    call = asyncio.ensure_future(servicer.Classify(_request(_RED, _GREEN), Call()))
    for _ in range(5):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    statistics = repository.get("colours").statistics
    assert statistics.failures["CANCELED"] == statistics.fail.count == 2
