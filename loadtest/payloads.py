"""Workloads: images as the target takes them, in batches of several sizes, for several models, bad input beside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from client.errors import InvalidImage
from client.open_inference import infer_request
from loadtest.answers import judge, read_answers
from loadtest.bad_input import bad_messages
from loadtest.images import MOST_BYTES
from loadtest.target import TargetError
from loadtest.workload import Message, Workload
from proto import classifier_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from client.model_interface import ModelInterface
    from loadtest.address import Address
    from loadtest.target import Target

_LEAST_MESSAGES = 4  # of each kind


@dataclass(frozen=True, slots=True)
class Mix:
    """What a workload is made of.

    Attributes:
        batch_sizes: Images in a request; every size gets the same number of images.
        bad_share: The share of requests that are bad input, in [0, 1).
        seed: Of the order.
    """

    batch_sizes: tuple[int, ...] = (1,)
    bad_share: float = 0.0
    seed: int = 0


def make_workload(target: Target, images: Sequence[bytes], mix: Mix) -> Workload:
    """Messages with all of `images` (encoded files) for each model and batch size, shuffled.

    Raises:
        TargetError: An image cannot be decoded, though tensors are to be made of it, or a batch is too large.
    """
    kinds = [(model, size) for model in target.models for size in mix.batch_sizes]
    messages = [
        message for model, size in kinds for message in _messages(target, model, images, size, MOST_BYTES / len(kinds))
    ]
    if len(kinds) == 1 and not mix.bad_share:
        return Workload(tuple(replace(message, kind="") for message in messages))
    bad = bad_messages(target.models[0], target.method)
    count = round(len(messages) * mix.bad_share / (1 - mix.bad_share))
    messages += [bad[number % len(bad)] for number in range(count)]
    order = np.random.default_rng(mix.seed).permutation(len(messages))
    return Workload(tuple(messages[number] for number in order))


def _messages(
    target: Target, model: ModelInterface, images: Sequence[bytes], size: int, most_bytes: float
) -> list[Message]:
    if target.method.endswith("ModelInfer") and size > model.images_per_request:
        raise TargetError(f"model '{model.model}' takes batches of at most {model.images_per_request}, not {size}")
    kind = f"{model.model} x{size}" if len(target.models) > 1 else f"x{size}"
    messages: list[Message] = []
    for start in range(0, len(images), size):
        batch = [images[(start + number) % len(images)] for number in range(size)]
        messages.append(Message(_serialise(target, model, batch), target.method, kind, size))
        if len(messages) >= _LEAST_MESSAGES and (len(messages) + 1) * len(messages[0].body) > most_bytes:
            break
    return messages


def _serialise(target: Target, model: ModelInterface, images: Sequence[bytes]) -> bytes:
    if target.payload == "image":
        request: Any = classifier_pb2.ClassifyRequest(model_name=model.model, images=images)
    else:
        request = infer_request(model, "", [_decode(model, image) for image in images], 0)
        del request.outputs[:]  # all of them as they are, not as classes
    serialised: bytes = request.SerializeToString()
    return serialised


def _decode(model: ModelInterface, image: bytes) -> NDArray[Any]:
    try:
        return model.decode(image)
    except InvalidImage as error:
        raise TargetError(f"an image cannot be made into a tensor: {error}") from error


def answers_at_rest(address: Address, workload: Workload) -> Workload:
    """The workload with the answers that the server gives to its good messages one at a time.

    Raises:
        TargetError: The server fails to answer one.
    """
    with address.channel() as channel:
        return Workload(tuple(_with_answer(channel, message) for message in workload.messages))


def _with_answer(channel: grpc.Channel, message: Message) -> Message:
    if not message.good:
        return message
    reply = _call(channel, message)
    try:
        return replace(message, answer=read_answers(message.method, reply))
    except (ValueError, IndexError) as error:
        raise TargetError(f"the server's answer holds no classes: {error}") from error


def check(address: Address, workload: Workload) -> None:
    """Send the first good message of each kind, alone: what fails now would only fail faster under load.

    Raises:
        TargetError: The server fails to answer one.
    """
    first = {message.kind: message for message in reversed(workload.messages) if message.good}
    with address.channel() as channel:
        for message in first.values():
            _call(channel, message)


def _call(channel: grpc.Channel, message: Message) -> bytes:
    call = channel.unary_unary(message.method, request_serializer=None, response_deserializer=None)
    try:
        reply: bytes = call(message.body, timeout=60.0)
    except grpc.RpcError as error:
        raise TargetError(f"the server refuses a request: {error.code().name}: {error.details()}") from error
    if (outcome := judge(message, reply, compare=False)) != "OK":
        raise TargetError(f"the server refuses an image: {outcome}")
    return reply
