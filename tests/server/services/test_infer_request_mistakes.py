"""Each mistake in a request has the text that a real Triton was seen to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.errors import Unsupported
from server.services import string_elements
from tests.server.services.requests import infer, multi, output, read, refusal, tensor
from tests.server.services.triton_texts import (
    BOTH,
    NO_CLASSES,
    NO_DATA,
    R7,
    TOO_LARGE,
    UNKNOWN_INPUT,
    UNKNOWN_OUTPUT,
    wrong_count,
    wrong_kind,
    wrong_shape,
    wrong_size,
    wrong_type,
)

if TYPE_CHECKING:
    from server.model_config import ModelConfig


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(tensor(shape=[4, 4, 3])), R7 + wrong_shape("[4,4,3]")),
        (infer(tensor(shape=[4, 4, 3]), request_id=""), "[request id: <id_unknown>] " + wrong_shape("[4,4,3]")),
        (infer(tensor(shape=[1, 4, 4])), R7 + wrong_shape("[1,4,4]")),
        (infer(tensor(shape=[1, 4, 4, 3, 1])), R7 + wrong_shape("[1,4,4,3,1]")),
        (infer(tensor(shape=[1, 5, 4, 3])), R7 + wrong_shape("[1,5,4,3]")),
        (infer(tensor(shape=[1, 0, 4, 3])), R7 + wrong_shape("[1,0,4,3]")),
        (infer(tensor(shape=[1, 4, 4, -3])), R7 + wrong_shape("[1,4,4,-3]")),
        (infer(tensor(shape=[1])), R7 + wrong_shape("[1]")),
        (infer(tensor(shape=[9, 4, 4, 3])), TOO_LARGE),
        (infer(tensor(shape=[48])), TOO_LARGE),
        (infer(tensor(shape=[])), R7 + "input 'INPUT__0' has no shape but model requires batch dimension for 'img'"),
        (infer(tensor(shape=[0, 4, 4, 3])), wrong_size(48, 0)),
        (infer(tensor(shape=[-1, 4, 4, 3])), wrong_size(206158430160, 48)),
        (infer(tensor(shape=[0, 5, 4, 3])), R7 + wrong_shape("[0,5,4,3]")),
        (
            infer(tensor(shape=[1, -1, 4, 3])),
            R7 + "All input dimensions should be specified for input 'INPUT__0' for model 'img', got [1,-1,4,3]",
        ),
    ],
)  # fmt: skip
def test_wrong_shapes(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """A shape is the model's, with a batch that it takes."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        *((infer(tensor(datatype=name), raw=[bytes(48)]), wrong_type(name)) for name in ("FP32", "INT8", "BF16")),
        *((infer(tensor(datatype=name)), wrong_type("<invalid>")) for name in ("FOO", "", "uint8", "STRING")),
        (infer(tensor(datatype="BYTES")), wrong_type("BYTES")),
        (infer(tensor(datatype="FP32", contents={"fp32_contents": [0.0] * 48})), wrong_type("FP32")),
        (infer(tensor(datatype="BYTES", contents={"bytes_contents": [b"a"]})), wrong_type("BYTES")),
    ],
)  # fmt: skip
def test_wrong_types(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """The type is the model's, and one that there is."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        *((infer(tensor(), raw=[bytes(size)]), wrong_size(48, size)) for size in (0, 47, 49, 96)),
        (infer(tensor(shape=[2, 4, 4, 3]), raw=[bytes(48)]), wrong_size(96, 48)),
        *((infer(tensor(contents={"uint_contents": [1] * size})), wrong_size(48, size)) for size in (47, 49)),
    ],
)  # fmt: skip
def test_wrong_sizes(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """There are as many bytes, or numbers, as the shape takes."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(tensor(), raw=[]), NO_DATA),
        (infer(tensor(contents={"uint_contents": [1] * 48}), raw=[bytes(48)]), BOTH),
        (infer(tensor(contents={}), raw=[bytes(48)]), BOTH),
        (infer(tensor(contents={})), wrong_size(48, 0)),
        *(
            (infer(tensor(contents={f"{kind.lower()}_contents": [value] * 48})), wrong_kind(kind))
            for kind, value in (
                ("BOOL", True), ("INT64", 1), ("UINT64", 1), ("FP32", 1.0), ("FP64", 1.0), ("BYTES", b"a")
            )
        ),
        (infer(tensor(contents={"int_contents": [1] * 48})), wrong_kind("INT32")),
        (infer(tensor(contents={"uint_contents": [1] * 48, "int_contents": [1]})), wrong_kind("INT32")),
        (infer(tensor(datatype="FOO", contents={"uint_contents": [1]})), wrong_kind("UINT32", "<invalid>")),
        (infer(tensor(datatype="FP16", contents={"fp32_contents": [1]})), wrong_kind("FP32", "FP16")),
    ],
)  # fmt: skip
def test_wrong_contents(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """Numbers come in one of two ways, and in the list of their type."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(tensor("OTHER")), UNKNOWN_INPUT),
        (infer(tensor("")), "unexpected inference input '' for model 'img'"),
        (infer(), R7 + wrong_count(1, "", "'INPUT__0'")),
        (infer(request_id=""), "[request id: <id_unknown>] " + wrong_count(1, "", "'INPUT__0'")),
        (infer(tensor(), tensor()), R7 + "input 'INPUT__0' already exists in request"),
        (infer(tensor(), tensor("OTHER")), R7 + wrong_count(1, "'INPUT__0','OTHER'", "")),
        (
            infer(tensor(), tensor("OTHER"), raw=[bytes(48)]),
            "unable to find data for input tensor 'OTHER' for model 'img' in request.",
        ),
    ],
)  # fmt: skip
def test_wrong_inputs(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """Each input is there once, and no other."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(tensor(), outputs=[output("OTHER")]), UNKNOWN_OUTPUT),
        (infer(tensor(), outputs=[output(), output("OTHER")]), UNKNOWN_OUTPUT),
        (infer(tensor(), outputs=[output("")]), "unexpected inference output '' for model 'img'"),
        *(
            (infer(tensor(), outputs=[output(parameters={"classification": ("int64_param", count)})]), NO_CLASSES)
            for count in (0, -1)
        ),
        *(
            (
                infer(tensor(), outputs=[output(parameters={"classification": choice})]),
                "invalid value type for 'classification' parameter, expected int64_param",
            )
            for choice in (
                ("string_param", "3"), ("bool_param", True), ("double_param", 3.0), ("uint64_param", 3), None
            )
        ),
    ],
)  # fmt: skip
def test_wrong_outputs(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """Outputs are the model's, and classes are a number of them."""
    assert refusal(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ([1, 4, 4, 3], wrong_shape("[1,4,4,3]", "nobatch", "[4,4,3]", " ")),
        ([4, 4], wrong_shape("[4,4]", "nobatch", "[4,4,3]", " ")),
        ([], wrong_shape("[]", "nobatch", "[4,4,3]", " ")),
        ([0, 4, 3], wrong_shape("[0,4,3]", "nobatch", "[4,4,3]", " ")),
        (
            [-1, 4, 3],
            "All input dimensions should be specified for input 'INPUT__0' for model 'nobatch', got [-1,4,3]",
        ),
    ],
)
def test_wrong_shapes_without_a_batch(configs: dict[str, ModelConfig], shape: list[int], text: str) -> None:
    """A model that does not batch takes exactly its dimensions, and the text has no note about batches."""
    assert refusal(infer(tensor(shape=shape)), configs["nobatch"]) == R7 + text


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(*multi(rows=(1, 2, 1))), R7 + "input 'B' batch size does not match other inputs for 'multi'"),
        (infer(*multi(rows=(5, 1, 1))), R7 + "input 'B' batch size does not match other inputs for 'multi'"),
        (infer(*multi(rows=(1, 1, 0))), R7 + "input 'C' batch size does not match other inputs for 'multi'"),
        (infer(*multi(rows=(5, 5, 5))), R7 + "inference request batch-size must be <= 4 for 'multi'"),
        (
            infer(*multi(rows=(1, 2, 1)), raw=[b"", b"", b""]),
            R7 + "input 'B' batch size does not match other inputs for 'multi'",
        ),
        (infer(*multi(shape=[])), R7 + "input 'A' has no shape but model requires batch dimension for 'multi'"),
        (infer(*multi()[:2]), R7 + wrong_count(3, "'A','B'", "'C'", "multi")),
        (infer(multi()[1]), R7 + wrong_count(3, "'B'", "'A','C'", "multi")),
        (
            infer(*multi()[:2], tensor("OTHER")),
            "unexpected inference input 'OTHER' for model 'multi'",
        ),
        (
            infer(*multi(), raw=[bytes(8), bytes(8)]),
            "unable to find data for input tensor 'C' for model 'multi' in request.",
        ),
        (
            infer(*multi(), outputs=[output("Y", {"classification": ("int64_param", 1)})]),
            "class result not available for output due to unsupported type 'BOOL'",
        ),
        (
            infer(*multi(), outputs=[output("Z", {"classification": ("int64_param", 1)})]),
            "class result not available for output due to unsupported type 'FP16'",
        ),
    ],
)  # fmt: skip
def test_wrong_requests_of_several_inputs(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """Inputs must all be there and agree about the batch."""
    assert refusal(request_message, configs["multi"]) == text


def test_rows_without_data_are_refused(configs: dict[str, ModelConfig]) -> None:
    """A batch of no rows reaches no model, even if it brings the bytes of one."""
    request = infer(tensor(shape=[0, 4, 4, 3]), raw=[bytes(48)])
    assert refusal(request, configs["img"]) == R7 + "inference request batch-size must be >= 1 for 'img'"


@pytest.mark.parametrize("rows", [1 << 32, (1 << 32) + 1, (1 << 63) - 1, 1 << 62])
def test_rows_beyond_any_counter_are_too_many(configs: dict[str, ModelConfig], rows: int) -> None:
    """No number of rows wraps around into a good one."""
    assert refusal(infer(tensor(shape=[rows, 4, 4, 3]), raw=[bytes(48)]), configs["img"]) == TOO_LARGE


@pytest.mark.parametrize("rows", [-(1 << 32), 1 - (1 << 32), -(1 << 63)])
def test_negative_rows_are_refused(configs: dict[str, ModelConfig], rows: int) -> None:
    """A negative number of rows is an error, even where its low 32 bits look good."""
    request = infer(tensor(shape=[rows, 4, 4, 3]), raw=[bytes(48)])
    assert refusal(request, configs["img"]).startswith(R7)


@pytest.mark.parametrize("key", ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"])
def test_shared_memory_is_not_supported(configs: dict[str, ModelConfig], key: str) -> None:
    """Tensors in shared memory are refused by name, whether they come or go."""
    parameters = {key: ("int64_param", 48)}
    for request in (
        infer(tensor(parameters=parameters), raw=[]),
        infer(tensor(), outputs=[output(parameters=parameters)]),
    ):
        with pytest.raises(Unsupported, match="shared memory is not supported by this server"):
            read(request, configs["img"])


@pytest.mark.parametrize(
    "request_message",
    [
        infer(*(tensor(str(number)) for number in range(1000)), raw=[b""] * 1000),
        infer(tensor(), outputs=[output()] * 1000),
        infer(tensor(), parameters={str(number): ("int64_param", number) for number in range(1000)}),
        infer(tensor(shape=[1] * 10_000)),
        infer(tensor(contents={"uint_contents": [1] * 1_000_000})),
    ],
    ids=["inputs", "outputs", "parameters", "dimensions", "numbers"],
)
def test_absurd_requests_get_a_short_answer(configs: dict[str, ModelConfig], request_message: Any) -> None:
    """Thousands of parts are refused without looking at each of them, and without listing them."""
    text = refusal(request_message, configs["img"])
    assert text.startswith(R7)
    assert len(text) < 600


@pytest.mark.parametrize("shape", [[-1, 1], [0, 30_000]])
def test_texts_of_no_row_are_not_looked_at(
    configs: dict[str, ModelConfig], monkeypatch: pytest.MonkeyPatch, shape: list[int]
) -> None:
    """A request that cannot be is refused before millions of elements are counted."""
    monkeypatch.setattr(string_elements, "split", None)
    request = infer(tensor("TEXT", datatype="BYTES", shape=shape), raw=[bytes(120_000)])
    assert refusal(request, configs["texts"]) == R7 + "inference request batch-size must be >= 1 for 'texts'"
