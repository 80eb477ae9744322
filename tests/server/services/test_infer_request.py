"""What a good request brings to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from server.services.infer_request import read_infer_request
from server.services.wire import parse_infer_message
from tests.server.services.requests import infer, multi, output, read, tensor

if TYPE_CHECKING:
    from server.model_config import ModelConfig


def test_a_good_request_brings_views_of_its_bytes(configs: dict[str, ModelConfig]) -> None:
    """Payload, rows and outputs are what the request says, and nothing was copied."""
    data = bytes(range(96))
    message = infer(tensor(shape=[2, 4, 4, 3]), raw=[data, b"one too many"]).SerializeToString()
    inference = read_infer_request(parse_infer_message(message), configs["img"])
    [payload] = inference.payload
    assert bytes(payload) == data
    assert isinstance(payload, memoryview)
    assert payload.obj is message
    assert (inference.rows, list(inference.outputs), inference.timeout_seconds) == (2, [(0, 0)], 0.0)


def test_inputs_come_in_the_order_of_the_configuration(configs: dict[str, ModelConfig]) -> None:
    """Whatever their order in the request, inputs keep their bytes."""
    raw = {"A": b"a" * 8, "B": b"b" * 8, "C": b"\1\0"}
    inputs = [multi()[position] for position in (2, 0, 1)]
    inference = read(infer(*inputs, raw=[raw[each.name] for each in inputs]), configs["multi"])
    assert [bytes(content) for content in inference.payload] == [raw["A"], raw["B"], raw["C"]]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([], [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ([output("W"), output("X")], [(0, 0), (3, 0)]),
        ([output("X"), output("X")], [(0, 0)]),
        ([output("X", {"classification": ("int64_param", 7)}), output("Y")], [(0, 7), (1, 0)]),
        ([output("W", {"classification": ("int64_param", (1 << 63) - 1)})], [(3, (1 << 63) - 1)]),
        ([output("X", {"binary_data": ("bool_param", True)})], [(0, 0)]),
    ],
)
def test_outputs_come_in_the_order_of_the_configuration(
    configs: dict[str, ModelConfig], outputs: list[Any], expected: list[tuple[int, int]]
) -> None:
    """All outputs unless some are asked for, each once."""
    assert list(read(infer(*multi(), outputs=outputs), configs["multi"]).outputs) == expected


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, 0.0), (2500, 0.0025), (0, 0.0), (-1, 0.0), ((1 << 63) - 1, 2**63 / 1e6)]
)
def test_the_timeout_is_in_microseconds(configs: dict[str, ModelConfig], given: int | None, seconds: float) -> None:
    """The `timeout` parameter limits the time in the queue; none and negative ones limit nothing."""
    parameters = {} if given is None else {"timeout": ("int64_param", given)}
    assert read(infer(tensor(), parameters=parameters), configs["img"]).timeout_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("datatype", "field", "values", "expected"),
    [
        ("FP32", "fp32_contents", [0.5, -2.0], np.float32([0.5, -2.0])),
        ("INT64", "int64_contents", [-(1 << 63)], np.int64([-(1 << 63)])),
        ("BOOL", "bool_contents", [True, False], np.array([True, False])),
    ],
)
def test_typed_contents_become_raw_bytes(
    configs: dict[str, ModelConfig], datatype: str, field: str, values: list[Any], expected: Any
) -> None:
    """Numbers in a message's lists arrive as the bytes that they stand for."""
    lists = {
        "FP32": ("fp32_contents", [0.0, 0.0]),
        "INT64": ("int64_contents", [0]),
        "BOOL": ("bool_contents", [False] * 2),
    }
    lists[datatype] = (field, values)
    inputs = [tensor(each.name, each.datatype, each.shape, contents=dict([lists[each.datatype]])) for each in multi()]
    payload = read(infer(*inputs), configs["multi"]).payload
    position = [each.datatype for each in inputs].index(datatype)
    assert bytes(payload[position]) == expected.tobytes()


def test_typed_numbers_lose_what_their_type_cannot_hold(configs: dict[str, ModelConfig]) -> None:
    """Of a number too large for its type the low bits count, as with Triton."""
    inference = read(infer(tensor(contents={"uint_contents": [300] * 48})), configs["img"])
    assert bytes(inference.payload[0]) == bytes([300 % 256] * 48)


@pytest.mark.parametrize(("rest", "kept"), [([], True), ([b"x" * 100], True), ([b"x" * 100_000], False)])
def test_what_waits_keeps_little_more_than_its_tensors(
    configs: dict[str, ModelConfig],
    rest: list[bytes],
    kept: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A tensor is a view of the message, but a copy where the message has much that nobody reads."""
    message = infer(tensor(), raw=[bytes(48), *rest]).SerializeToString()
    [payload] = read_infer_request(parse_infer_message(message), configs["img"]).payload
    assert bytes(payload) == bytes(48)
    assert (isinstance(payload, memoryview) and payload.obj is message) == kept
