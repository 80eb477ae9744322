from __future__ import annotations

import io

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2

from client.model_interface import ModelInterface
from loadtest.address import Address
from loadtest.answers import judge, judge_refusal, read_answers
from loadtest.bad_input import bad_messages
from loadtest.images import make_images
from loadtest.payloads import Mix, answers_at_rest, check, make_workload
from loadtest.target import CLASSIFY, INFER, Target, TargetError, find_target
from loadtest.workload import Message, Workload
from proto import classifier_pb2

IMAGES = make_images(seed=1, count=6)
MODEL = ModelInterface("colours", "INPUT__0", "UINT8", 32, 32, False, "OUTPUT__0", 8, 1.0)


def target(payload: str, *models: ModelInterface) -> Target:
    """A target that nobody asks."""
    return Target(Address("127.0.0.1:1"), "coordserve", "1", payload, models or (MODEL,))


def test_encoded_images_go_as_they_are() -> None:
    """What is sent is a ClassifyRequest of the model with the images' bytes, in batches."""
    workload = make_workload(target("image"), IMAGES, Mix((2,)))

    requests = [classifier_pb2.ClassifyRequest.FromString(message.body) for message in workload.messages]
    assert [image for request in requests for image in request.images] == IMAGES
    assert {request.model_name for request in requests} == {"colours"}
    assert {message.images for message in workload.messages} == {2}


def test_tensors_are_the_decoded_images() -> None:
    """A ModelInferRequest has the model's input with each image's pixels, and asks for its outputs as they are."""
    workload = make_workload(target("uint8"), IMAGES, Mix((3,)))

    request = service_pb2.ModelInferRequest.FromString(workload.messages[1].body)
    assert list(request.inputs[0].shape) == [3, 32, 32, 3]
    pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(3, 32, 32, 3)
    np.testing.assert_array_equal(pixels[2], MODEL.decode(IMAGES[5]))
    assert not request.outputs


def test_mixes_hold_their_shares() -> None:
    """Every batch size of every model is there, and a tenth of all is bad, in an order that the seed decides."""
    other = ModelInterface("other", "INPUT__0", "UINT8", 16, 16, False, "OUTPUT__0", 8, 1.0)
    mix = Mix((1, 2), bad_share=0.1, seed=4)
    workload = make_workload(target("uint8", MODEL, other), IMAGES, mix)

    kinds = [kind for kind in workload.kinds if not kind.startswith("bad")]
    assert set(kinds) == {"colours x1", "colours x2", "other x1", "other x2"}
    assert len(workload.messages) - len(kinds) == 2
    assert workload.kinds == make_workload(target("uint8", MODEL, other), IMAGES, mix).kinds
    assert workload.kinds != tuple(sorted(workload.kinds))


def test_a_batch_that_the_model_does_not_take_is_told() -> None:
    """Nobody has to wait for the server to refuse every request."""
    with pytest.raises(TargetError, match="at most 8, not 9"):
        make_workload(target("uint8"), IMAGES, Mix((9,)))


def test_bad_input_must_be_refused_as_it_should_be() -> None:
    """The right code is a right answer; another one, or an answer, is not; turning away anybody is always allowed."""
    bad = Message(b"", INFER, "bad", expected="INVALID_ARGUMENT")

    assert judge_refusal(bad, "INVALID_ARGUMENT") == "OK"
    assert judge_refusal(bad, "RESOURCE_EXHAUSTED") == "OK"
    assert judge_refusal(bad, "INTERNAL") == "REFUSED_OTHERWISE"
    assert judge(bad, b"", compare=False) == "NOT_REFUSED"


def test_images_that_fail_in_a_good_call_are_errors() -> None:
    """A reply that says that its image could not be read is no answer, though the call went well."""
    response = classifier_pb2.ClassifyResponse()
    response.results.add().error.code = 3

    assert judge(Message(b"", CLASSIFY), response.SerializeToString(), compare=False) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("payload", ["image", "uint8"])
def test_answers_are_held_against_those_at_rest(image_server: str, payload: str) -> None:
    """An answer agrees with the server's own at rest, and one to another image does not."""
    found = find_target(Address(image_server), payload=payload)
    workload = answers_at_rest(Address(image_server), make_workload(found, [*IMAGES, red_image()], Mix()))
    message, other = workload.messages[0], workload.messages[-1]

    assert message.answer is not None
    assert read_answers(message.method, reply_of(found, message)) == message.answer
    assert judge(message, reply_of(found, message), compare=True) == "OK"
    assert judge(message, reply_of(found, other), compare=True) == "WRONG_ANSWER"
    assert judge(message, reply_of(found, other), compare=False) == "OK"


@pytest.mark.parametrize("payload", ["image", "uint8"])
def test_the_server_refuses_bad_input_with_the_codes_that_are_expected(image_server: str, payload: str) -> None:
    """Each kind of bad input gets the code that a right server answers."""
    found = find_target(Address(image_server), payload=payload)
    for message in bad_messages(found.models[0], found.method):
        with pytest.raises(TargetError, match=message.expected):
            check(Address(image_server), Workload((Message(message.body, message.method),)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"models": ["nope"]}, "unknown model"),
        ({"payload": "float32"}, "takes UINT8: use --payload uint8"),
        ({"payload": "uint8", "api": "classify"}, "not uint8 to classify"),
    ],
)
def test_what_the_target_does_not_take_is_told(image_server: str, arguments: dict[str, str], text: str) -> None:
    """A model that is not there, another datatype and an API without that payload are one clear line."""
    with pytest.raises(TargetError, match=text) as raised:
        find_target(Address(image_server), **arguments)
    assert "\n" not in str(raised.value)


def red_image() -> bytes:
    """A picture that is nothing but red."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    return file.getvalue()


def reply_of(found: Target, message: Message) -> bytes:
    """The server's answer."""
    with grpc.insecure_channel(found.url) as channel:
        call = channel.unary_unary(message.method, request_serializer=None, response_deserializer=None)
        reply: bytes = call(message.body, timeout=60)
        return reply
