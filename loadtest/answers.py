"""Whether an answer is right: cheaply for every one, and against the answer at rest for some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tritonclient.grpc import service_pb2

from loadtest.target import CLASSIFY
from loadtest.trace import CODES, NOT_REFUSED, REFUSED_OTHERWISE, WRONG_ANSWER
from proto import classifier_pb2

if TYPE_CHECKING:
    from loadtest.workload import Message

# Batches of another size add up in another order, and some processors round the parts of a batch otherwise.
TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model took one image for.

    Attributes:
        classes: The most probable class, and those that are as probable within the tolerance.
        probability: Of the most probable one.
    """

    classes: frozenset[int]
    probability: float


def judge(message: Message, reply: bytes, *, compare: bool) -> str:
    """The outcome of a call that gRPC says went well; `compare` holds it against the message's answer at rest."""
    code = _code(message, reply)
    if message.good:
        wrong = compare and code == "OK" and message.answer is not None and not _agrees(message, reply)
        return WRONG_ANSWER if wrong else code
    return NOT_REFUSED if code == "OK" else judge_refusal(message, code)


def judge_refusal(message: Message, code: str) -> str:
    """The outcome of a call that ended with `code`: bad input has to be refused, and with the right code."""
    if message.good:
        return code
    # A busy server may turn away anything before it looks at it.
    return "OK" if code in (message.expected, "RESOURCE_EXHAUSTED", "UNAVAILABLE") else REFUSED_OTHERWISE


def read_answers(method: str, reply: bytes) -> tuple[Answer, ...]:
    """The model's answer to each image of a request.

    Raises:
        google.protobuf.message.DecodeError: `reply` is no message of that method.
        ValueError: It holds no classes or probabilities.
    """
    if method == CLASSIFY:
        results = classifier_pb2.ClassifyResponse.FromString(reply).results
        return tuple(_answer({each.index: each.probability for each in result.classes}) for result in results)
    response = service_pb2.ModelInferResponse.FromString(reply)
    shape = response.outputs[0].shape
    rows = np.frombuffer(response.raw_output_contents[0], np.float32).reshape(-1, shape[-1])
    return tuple(_answer(dict(enumerate(row.tolist()))) for row in rows)


def _answer(probabilities: dict[int, float]) -> Answer:
    most = max(probabilities.values())
    return Answer(frozenset(index for index, value in probabilities.items() if value >= most - 2 * TOLERANCE), most)


def _code(message: Message, reply: bytes) -> str:
    """ModelInfer fails as a call; Classify may tell of each image that it failed."""
    if message.method != CLASSIFY:
        return "OK"
    results = classifier_pb2.ClassifyResponse.FromString(reply).results
    return next((CODES[result.error.code] for result in results if result.HasField("error")), "OK")


def _agrees(message: Message, reply: bytes) -> bool:
    answers, expected = read_answers(message.method, reply), message.answer or ()
    return len(answers) == len(expected) and all(
        answer.classes & rest.classes and abs(answer.probability - rest.probability) <= TOLERANCE
        for answer, rest in zip(answers, expected, strict=True)
    )
