"""Of two mistakes in a request the same one is told as by Triton."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.services.requests import infer, output, refusal, tensor
from tests.server.services.triton_texts import (
    BOTH,
    NO_CLASSES,
    NO_DATA,
    R7,
    TIMEOUT,
    TOO_LARGE,
    UNKNOWN_INPUT,
    UNKNOWN_OUTPUT,
    wrong_count,
    wrong_shape,
    wrong_type,
)

if TYPE_CHECKING:
    from server.model_config import ModelConfig

_BAD = {"timeout": ("bool_param", True)}
_ZERO_CLASSES = [output(parameters={"classification": ("int64_param", 0)})]


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(tensor(), raw=[], parameters=_BAD), TIMEOUT),
        (infer(tensor("OTHER"), parameters=_BAD), TIMEOUT),
        (infer(tensor(), parameters=_BAD, outputs=[output("OTHER")]), TIMEOUT),
        (infer(tensor(), parameters=_BAD, outputs=_ZERO_CLASSES), TIMEOUT),
        (infer(tensor(), raw=[], outputs=[output("OTHER")]), NO_DATA),
        (infer(tensor(datatype="FP32"), raw=[]), NO_DATA),
        (infer(tensor(), raw=[], outputs=_ZERO_CLASSES), NO_DATA),
        (infer(tensor(contents={}), raw=[bytes(48)], outputs=[output("OTHER")]), BOTH),
        (
            infer(tensor("OTHER"), raw=[]),
            "unable to find data for input tensor 'OTHER' for model 'img' in request.",
        ),
        (infer(tensor(), outputs=[output("OTHER", {"classification": ("int64_param", 0)})]), NO_CLASSES),
        (infer(tensor(shape=[4, 4, 3]), outputs=_ZERO_CLASSES), NO_CLASSES),
        (infer(tensor("OTHER"), outputs=[output("OTHER")]), UNKNOWN_OUTPUT),
        (infer(tensor(shape=[9, 4, 4, 3]), outputs=[output("OTHER")]), UNKNOWN_OUTPUT),
        (infer(tensor("OTHER", shape=[9, 4, 4, 3])), UNKNOWN_INPUT),
        (infer(tensor("OTHER", datatype="FP32")), UNKNOWN_INPUT),
        (infer(tensor(shape=[4, 4, 3]), tensor("OTHER")), R7 + wrong_count(1, "'INPUT__0','OTHER'", "")),
        (infer(tensor(datatype="FP32", shape=[1, 5, 4, 3])), wrong_type("FP32")),
        (infer(tensor(datatype="FP32"), raw=[b""]), wrong_type("FP32")),
        (infer(tensor(datatype="FP32", shape=[1, -1, 4, 3])), wrong_type("FP32")),
        (infer(tensor(datatype="FP32", shape=[9, 4, 4, 3])), TOO_LARGE),
        (infer(tensor(shape=[9, 5, 4, 3])), TOO_LARGE),
        (infer(tensor(shape=[9, 4, 4, 3]), raw=[b""]), TOO_LARGE),
        (infer(tensor(shape=[9, -1, 4, 3])), TOO_LARGE),
        (infer(tensor(shape=[1, 5, 4, 3]), raw=[b""]), R7 + wrong_shape("[1,5,4,3]")),
        (infer(tensor(shape=[1, -1, 3])), R7 + wrong_shape("[1,-1,3]")),
    ],
)  # fmt: skip
def test_of_two_mistakes_the_same_is_told(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """What is looked at first is told, in the order of Triton's checks."""
    assert refusal(request_message, configs["img"]) == text
