"""The messages of CoordServe's own service."""

from __future__ import annotations

import pytest

from client import Class, ClientError, InvalidImage, InvalidRequest, Overloaded, ServerError, Timing
from client.native import classify_request, read_classification
from proto.classifier_pb2 import Class as ClassMessage
from proto.classifier_pb2 import ClassifyResponse, Error, ImageResult
from proto.classifier_pb2 import Timing as TimingMessage

GOOD = ImageResult(classes=[ClassMessage(index=2, label="cat", probability=0.5)])


def test_request_carries_everything() -> None:
    """Each argument has its field."""
    request = classify_request(b"jpeg", "m", "3", 2, "id")

    assert (request.model_name, request.model_version, request.top_k, request.request_id) == ("m", "3", 2, "id")
    assert list(request.images) == [b"jpeg"]


def test_answer_is_read_whole() -> None:
    """Names, classes and times come over; the file is the caller's."""
    timing = TimingMessage(decode_ns=1, queue_ns=2, compute_ns=3, total_ns=7, batch_size=4)
    result = ImageResult(classes=GOOD.classes, timing=timing)

    read = read_classification(ClassifyResponse(model_name="m", model_version="3", results=[result]), "a.jpg")

    assert (read.file, read.model, read.version) == ("a.jpg", "m", "3")
    assert read.classes == (Class(2, "cat", 0.5),)
    assert read.timing == Timing(1, 2, 3, 7, 4)


def test_timing_may_be_missing() -> None:
    """A server that does not measure is not taken for one that needs no time."""
    assert read_classification(ClassifyResponse(results=[GOOD]), None).timing is None


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (ClassifyResponse(error=Error(code=8, message="too much")), Overloaded),
        (ClassifyResponse(error=Error(code=3, message="no such parameter")), InvalidRequest),
        (ClassifyResponse(results=[ImageResult(error=Error(code=3, message="no JPEG"))]), InvalidImage),
        (ClassifyResponse(results=[ImageResult(error=Error(code=14, message="maximum queue size"))]), Overloaded),
        (ClassifyResponse(), ServerError),
        (ClassifyResponse(results=[GOOD, GOOD]), ServerError),
        (ClassifyResponse(results=[ImageResult()]), ServerError),
    ],
)
def test_answer_without_classes_is_an_error(response: ClassifyResponse, kind: type[ClientError]) -> None:
    """A failed request, a failed image and a senseless answer are told apart."""
    with pytest.raises(ClientError) as raised:
        read_classification(response, None)

    assert type(raised.value) is kind
