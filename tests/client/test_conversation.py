"""What the client says to a server, without a server."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from client import DeadlineExceeded, InvalidImage, ModelLoading, ServerUnreachable, Unimplemented
from client.conversation import Conversation
from client.steps import Rpc, Step, Steps, Work
from proto.classifier_pb2 import Class, ClassifyResponse, Error, ImageResult

ANSWER = ClassifyResponse(model_name="m", results=[ImageResult(classes=[Class(index=1, probability=1.0)])])


def methods(steps: Steps[Any], *answers: Any) -> list[str]:
    """Gives the conversation its answers, exceptions included, and returns the methods that it called."""
    step: Step = next(steps)
    called: list[str] = []
    for answer in answers:
        assert isinstance(step, Rpc)
        called.append(step.method)
        try:
            step = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
        except StopIteration:
            return called
    assert isinstance(step, Rpc)
    return [*called, step.method]


def settled() -> Conversation:
    """Returns a conversation with a server that has our service."""
    conversation = Conversation("m", "")
    methods(conversation.classify(b"", 1), ANSWER)
    return conversation


def test_first_answer_settles_the_protocol() -> None:
    """An answer to Classify means our service; none means nothing yet; UNIMPLEMENTED means the plain protocol."""
    conversation = Conversation("m", "")
    assert not conversation.settled
    with pytest.raises(ServerUnreachable):
        methods(conversation.classify(b"", 1), ServerUnreachable("nobody"))
    assert not conversation.settled

    assert settled().settled
    assert methods(conversation.classify(b"", 1), Unimplemented("no")) == ["Classify", "ModelMetadata"]
    assert not conversation.settled, "what the model takes is not known"
    assert methods(conversation.classify(b"", 1)) == ["ModelMetadata"]


def test_image_that_fails_settles_the_protocol_too() -> None:
    """The server has understood."""
    conversation = Conversation("m", "")
    failed = ClassifyResponse(results=[ImageResult(error=Error(code=3, message="no image"))])

    with pytest.raises(InvalidImage, match="no image"):
        methods(conversation.classify(b"", 1), failed)
    assert conversation.settled


def test_our_service_does_not_turn_into_the_plain_protocol() -> None:
    """Once settled, UNIMPLEMENTED is an answer about the request."""
    with pytest.raises(Unimplemented):
        methods(settled().classify(b"", 1), Unimplemented("not this model"))


def test_bulk_work_waits_for_a_model_that_is_being_loaded() -> None:
    """Before the first image, and in the stream, whose answer it is then; a single image is told at once."""
    loading = ClassifyResponse(error=Error(code=14, message="'m' has no available versions: it is being loaded"))
    first = Conversation("m", "").classify_batch([b""], 1)
    next(first)
    assert isinstance(first.throw(ModelLoading("it is being loaded")), Work)
    assert next(first) == Rpc("Classify", mock.ANY, wait_for_ready=True)

    assert methods(settled().classify_batch([b""], 1), loading, ANSWER) == ["ClassifyStream", "Classify"]
    with pytest.raises(ModelLoading):
        methods(settled().classify(b"", 1), loading)


def test_bulk_work_streams_and_falls_back_to_single_calls() -> None:
    """A stream that breaks is not the image's fault; a stream that is not there is not tried again."""
    conversation = settled()

    broken = methods(conversation.classify_batch([b""], 1), ServerUnreachable("closed"), ANSWER)
    absent = methods(conversation.classify_batch([b""], 1), Unimplemented("no stream"), ANSWER)
    after = methods(conversation.classify_batch([b""], 1), ANSWER)

    assert broken == ["ClassifyStream", "Classify"]
    assert absent == ["ClassifyStream", "Classify"]
    assert after == ["Classify"]


def test_files_are_read_as_work() -> None:
    """Only bytes that are there already need no thread."""
    steps = Conversation("m", "").classify("a.jpg", 1)

    assert isinstance(next(steps), Work)
    assert isinstance(steps.send(b"bytes"), Rpc)


def test_ping_takes_silence_for_absence() -> None:
    """Whoever does not answer in time cannot be reached; whoever complains is there."""
    with pytest.raises(ServerUnreachable):
        methods(Conversation("", "").ping(), DeadlineExceeded("late"))
    assert methods(Conversation("", "").ping(), Unimplemented("what?")) == ["ServerLive"]


def test_batches_are_for_plain_servers() -> None:
    """Our service gets its images one by one; nothing is assumed of a server that is not known yet."""
    assert settled().batch_size(64) == 1
    assert Conversation("m", "").batch_size(64) == 1
