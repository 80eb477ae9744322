from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from server import model_config
from server.errors import InvalidRequest, Unsupported
from server.services.infer_request import read_infer_request
from server.services.wire import parse_infer_message
from tests.server.services.requests import infer, output, tensor

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig
    from server.services.infer_request import Inference

_CONFIGS = {
    "img": """
        max_batch_size: 8
        input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]
        """,
    "nobatch": """
        input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]
        """,
    "multi": """
        max_batch_size: 4
        input [ { name: "A" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "B" data_type: TYPE_INT64 dims: [ 1 ] } ]
        input [ { name: "C" data_type: TYPE_BOOL dims: [ 2 ] } ]
        output [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "Y" data_type: TYPE_BOOL dims: [ 2 ] } ]
        output [ { name: "Z" data_type: TYPE_FP16 dims: [ 2 ] }, { name: "W" data_type: TYPE_INT64 dims: [ 1 ] } ]
        """,
}
_NOTE = (
    " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each"
    " input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting"
    " max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)
_R7 = "[request id: r7] "
_UNKNOWN_INPUT = "unexpected inference input 'OTHER' for model 'img'"
_UNKNOWN_OUTPUT = "unexpected inference output 'OTHER' for model 'img'"
_NO_DATA = "unable to find data for input tensor 'INPUT__0' for model 'img' in request."
_BOTH = "contents field must not be specified when using raw_input_contents for 'INPUT__0' for model 'img'"
_TOO_LARGE = _R7 + "inference request batch-size must be <= 8 for 'img'"
_TIMEOUT = "invalid value type for 'timeout' parameter, expected int64_param."
_NO_CLASSES = "invalid value for 'classification' parameter, expected >= 0"
_BAD = {"timeout": ("bool_param", True)}
_ZERO_CLASSES = [output(parameters={"classification": ("int64_param", 0)})]


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelConfig]:
    """The models that requests are checked against."""

    def read(name: str, text: str) -> ModelConfig:
        directory: Path = tmp_path_factory.mktemp("repository") / name
        directory.mkdir()
        (directory / "config.pbtxt").write_text('platform: "pytorch_libtorch"' + text)
        return model_config.read(directory)

    return {name: read(name, text) for name, text in _CONFIGS.items()}


def _read(request: Any, config: ModelConfig) -> Inference:
    return read_infer_request(parse_infer_message(request.SerializeToString()), config)


def _error(request: Any, config: ModelConfig) -> str:
    with pytest.raises(InvalidRequest) as raised:
        _read(request, config)
    return str(raised.value)


def _wrong_shape(got: str, model: str = "img", expected: str = "[-1,4,4,3]", note: str = _NOTE) -> str:
    return f"unexpected shape for input 'INPUT__0' for model '{model}'. Expected {expected}, got {got}.{note}"


def _wrong_size(expected: int, got: int) -> str:
    return f"{_R7}input byte size mismatch for input 'INPUT__0' for model 'img'. Expected {expected}, got {got}"


def _wrong_kind(kind: str, declared: str = "UINT8") -> str:
    return (
        "unexpected explicit tensor data for input tensor 'INPUT__0' for model 'img' of type"
        f" '{kind}', expected datatype '{declared}'"
    )


def _wrong_type(got: str) -> str:
    return f"{_R7}inference input 'INPUT__0' data-type is '{got}', but model 'img' expects 'UINT8'"


def _wrong_count(expected: int, got: str, missing: str, model: str = "img") -> str:
    return (
        f"expected {expected} inputs but got {got.count(',') + bool(got)} inputs for model '{model}'. Got input(s)"
        f" [{got}], but missing required input(s) [{missing}]. Please provide all required input(s)."
    )


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        # shapes
        (infer(tensor(shape=[4, 4, 3])), _R7 + _wrong_shape("[4,4,3]")),
        (infer(tensor(shape=[4, 4, 3]), request_id=""), "[request id: <id_unknown>] " + _wrong_shape("[4,4,3]")),
        (infer(tensor(shape=[1, 4, 4])), _R7 + _wrong_shape("[1,4,4]")),
        (infer(tensor(shape=[1, 4, 4, 3, 1])), _R7 + _wrong_shape("[1,4,4,3,1]")),
        (infer(tensor(shape=[1, 5, 4, 3])), _R7 + _wrong_shape("[1,5,4,3]")),
        (infer(tensor(shape=[1, 0, 4, 3])), _R7 + _wrong_shape("[1,0,4,3]")),
        (infer(tensor(shape=[1, 4, 4, -3])), _R7 + _wrong_shape("[1,4,4,-3]")),
        (infer(tensor(shape=[1])), _R7 + _wrong_shape("[1]")),
        (infer(tensor(shape=[9, 4, 4, 3])), _TOO_LARGE),
        (infer(tensor(shape=[48])), _TOO_LARGE),
        (infer(tensor(shape=[])), _R7 + "input 'INPUT__0' has no shape but model requires batch dimension for 'img'"),
        (infer(tensor(shape=[0, 4, 4, 3])), _wrong_size(48, 0)),
        (infer(tensor(shape=[-1, 4, 4, 3])), _wrong_size(206158430160, 48)),
        (infer(tensor(shape=[0, 5, 4, 3])), _R7 + _wrong_shape("[0,5,4,3]")),
        (
            infer(tensor(shape=[1, -1, 4, 3])),
            _R7 + "All input dimensions should be specified for input 'INPUT__0' for model 'img', got [1,-1,4,3]",
        ),
        # data types
        *((infer(tensor(datatype=name), raw=[bytes(48)]), _wrong_type(name)) for name in ("FP32", "INT8", "BF16")),
        *((infer(tensor(datatype=name)), _wrong_type("<invalid>")) for name in ("FOO", "", "uint8", "STRING")),
        (infer(tensor(datatype="BYTES")), _wrong_type("BYTES")),
        (infer(tensor(datatype="FP32", contents={"fp32_contents": [0.0] * 48})), _wrong_type("FP32")),
        (infer(tensor(datatype="BYTES", contents={"bytes_contents": [b"a"]})), _wrong_type("BYTES")),
        # sizes
        *((infer(tensor(), raw=[bytes(size)]), _wrong_size(48, size)) for size in (0, 47, 49, 96)),
        (infer(tensor(shape=[2, 4, 4, 3]), raw=[bytes(48)]), _wrong_size(96, 48)),
        *((infer(tensor(contents={"uint_contents": [1] * size})), _wrong_size(48, size)) for size in (47, 49)),
        # raw and contents
        (infer(tensor(), raw=[]), _NO_DATA),
        (infer(tensor(contents={"uint_contents": [1] * 48}), raw=[bytes(48)]), _BOTH),
        (infer(tensor(contents={}), raw=[bytes(48)]), _BOTH),
        (infer(tensor(contents={})), _wrong_size(48, 0)),
        *(
            (infer(tensor(contents={f"{kind.lower()}_contents": [value] * 48})), _wrong_kind(kind))
            for kind, value in (
                ("BOOL", True), ("INT64", 1), ("UINT64", 1), ("FP32", 1.0), ("FP64", 1.0), ("BYTES", b"a")
            )
        ),
        (infer(tensor(contents={"int_contents": [1] * 48})), _wrong_kind("INT32")),
        (infer(tensor(contents={"uint_contents": [1] * 48, "int_contents": [1]})), _wrong_kind("INT32")),
        (infer(tensor(datatype="FOO", contents={"uint_contents": [1]})), _wrong_kind("UINT32", "<invalid>")),
        (infer(tensor(datatype="FP16", contents={"fp32_contents": [1]})), _wrong_kind("FP32", "FP16")),
        # names of inputs
        (infer(tensor("OTHER")), _UNKNOWN_INPUT),
        (infer(tensor("")), "unexpected inference input '' for model 'img'"),
        (infer(), _R7 + _wrong_count(1, "", "'INPUT__0'")),
        (infer(request_id=""), "[request id: <id_unknown>] " + _wrong_count(1, "", "'INPUT__0'")),
        (infer(tensor(), tensor()), _R7 + "input 'INPUT__0' already exists in request"),
        (infer(tensor(), tensor("OTHER")), _R7 + _wrong_count(1, "'INPUT__0','OTHER'", "")),
        (
            infer(tensor(), tensor("OTHER"), raw=[bytes(48)]),
            "unable to find data for input tensor 'OTHER' for model 'img' in request.",
        ),
        # outputs
        (infer(tensor(), outputs=[output("OTHER")]), _UNKNOWN_OUTPUT),
        (infer(tensor(), outputs=[output(), output("OTHER")]), _UNKNOWN_OUTPUT),
        (infer(tensor(), outputs=[output("")]), "unexpected inference output '' for model 'img'"),
        *(
            (infer(tensor(), outputs=[output(parameters={"classification": ("int64_param", count)})]), _NO_CLASSES)
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
        # which of two faults is told
        (infer(tensor(), raw=[], parameters=_BAD), _TIMEOUT),
        (infer(tensor("OTHER"), parameters=_BAD), _TIMEOUT),
        (infer(tensor(), parameters=_BAD, outputs=[output("OTHER")]), _TIMEOUT),
        (infer(tensor(), parameters=_BAD, outputs=_ZERO_CLASSES), _TIMEOUT),
        (infer(tensor(), raw=[], outputs=[output("OTHER")]), _NO_DATA),
        (infer(tensor(datatype="FP32"), raw=[]), _NO_DATA),
        (infer(tensor(), raw=[], outputs=_ZERO_CLASSES), _NO_DATA),
        (infer(tensor(contents={}), raw=[bytes(48)], outputs=[output("OTHER")]), _BOTH),
        (
            infer(tensor("OTHER"), raw=[]),
            "unable to find data for input tensor 'OTHER' for model 'img' in request.",
        ),
        (infer(tensor(), outputs=[output("OTHER", {"classification": ("int64_param", 0)})]), _NO_CLASSES),
        (infer(tensor(shape=[4, 4, 3]), outputs=_ZERO_CLASSES), _NO_CLASSES),
        (infer(tensor("OTHER"), outputs=[output("OTHER")]), _UNKNOWN_OUTPUT),
        (infer(tensor(shape=[9, 4, 4, 3]), outputs=[output("OTHER")]), _UNKNOWN_OUTPUT),
        (infer(tensor("OTHER", shape=[9, 4, 4, 3])), _UNKNOWN_INPUT),
        (infer(tensor("OTHER", datatype="FP32")), _UNKNOWN_INPUT),
        (infer(tensor(shape=[4, 4, 3]), tensor("OTHER")), _R7 + _wrong_count(1, "'INPUT__0','OTHER'", "")),
        (infer(tensor(datatype="FP32", shape=[1, 5, 4, 3])), _wrong_type("FP32")),
        (infer(tensor(datatype="FP32"), raw=[b""]), _wrong_type("FP32")),
        (infer(tensor(datatype="FP32", shape=[1, -1, 4, 3])), _wrong_type("FP32")),
        (infer(tensor(datatype="FP32", shape=[9, 4, 4, 3])), _TOO_LARGE),
        (infer(tensor(shape=[9, 5, 4, 3])), _TOO_LARGE),
        (infer(tensor(shape=[9, 4, 4, 3]), raw=[b""]), _TOO_LARGE),
        (infer(tensor(shape=[9, -1, 4, 3])), _TOO_LARGE),
        (infer(tensor(shape=[1, 5, 4, 3]), raw=[b""]), _R7 + _wrong_shape("[1,5,4,3]")),
        (infer(tensor(shape=[1, -1, 3])), _R7 + _wrong_shape("[1,-1,3]")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_as_triton_tells_it(
    configs: dict[str, ModelConfig], request_message: Any, text: str
) -> None:
    """Each mistake has the text that a real Triton was seen to answer; of two mistakes the same one is told."""
    assert _error(request_message, configs["img"]) == text


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ([1, 4, 4, 3], _wrong_shape("[1,4,4,3]", "nobatch", "[4,4,3]", " ")),
        ([4, 4], _wrong_shape("[4,4]", "nobatch", "[4,4,3]", " ")),
        ([], _wrong_shape("[]", "nobatch", "[4,4,3]", " ")),
        ([0, 4, 3], _wrong_shape("[0,4,3]", "nobatch", "[4,4,3]", " ")),
        (
            [-1, 4, 3],
            "All input dimensions should be specified for input 'INPUT__0' for model 'nobatch', got [-1,4,3]",
        ),
    ],
)
def test_wrong_shapes_without_a_batch(configs: dict[str, ModelConfig], shape: list[int], text: str) -> None:
    """A model that does not batch takes exactly its dimensions, and the text has no note about batches."""
    assert _error(infer(tensor(shape=shape)), configs["nobatch"]) == _R7 + text


def _multi(
    *, rows: tuple[int, int, int] = (1, 1, 1), datatype: str = "FP32", shape: list[int] | None = None
) -> list[Any]:
    return [
        tensor("A", datatype, shape if shape is not None else [rows[0], 2]),
        tensor("B", "INT64", [rows[1], 1]),
        tensor("C", "BOOL", [rows[2], 2]),
    ]


@pytest.mark.parametrize(
    ("request_message", "text"),
    [
        (infer(*_multi(rows=(1, 2, 1))), _R7 + "input 'B' batch size does not match other inputs for 'multi'"),
        (infer(*_multi(rows=(5, 1, 1))), _R7 + "input 'B' batch size does not match other inputs for 'multi'"),
        (infer(*_multi(rows=(1, 1, 0))), _R7 + "input 'C' batch size does not match other inputs for 'multi'"),
        (infer(*_multi(rows=(5, 5, 5))), _R7 + "inference request batch-size must be <= 4 for 'multi'"),
        (
            infer(*_multi(rows=(1, 2, 1)), raw=[b"", b"", b""]),
            _R7 + "input 'B' batch size does not match other inputs for 'multi'",
        ),
        (infer(*_multi(shape=[])), _R7 + "input 'A' has no shape but model requires batch dimension for 'multi'"),
        (infer(*_multi()[:2]), _R7 + _wrong_count(3, "'A','B'", "'C'", "multi")),
        (infer(_multi()[1]), _R7 + _wrong_count(3, "'B'", "'A','C'", "multi")),
        (
            infer(*_multi()[:2], tensor("OTHER")),
            "unexpected inference input 'OTHER' for model 'multi'",
        ),
        (
            infer(*_multi(), raw=[bytes(8), bytes(8)]),
            "unable to find data for input tensor 'C' for model 'multi' in request.",
        ),
        (
            infer(*_multi(), outputs=[output("Y", {"classification": ("int64_param", 1)})]),
            "class result not available for output due to unsupported type 'BOOL'",
        ),
        (
            infer(*_multi(), outputs=[output("Z", {"classification": ("int64_param", 1)})]),
            "class result not available for output due to unsupported type 'FP16'",
        ),
    ],
)  # fmt: skip
def test_wrong_requests_of_several_inputs(configs: dict[str, ModelConfig], request_message: Any, text: str) -> None:
    """Inputs must all be there and agree about the batch."""
    assert _error(request_message, configs["multi"]) == text


def test_rows_without_data_are_refused(configs: dict[str, ModelConfig]) -> None:
    """A batch of no rows reaches no model, even if it brings the bytes of one."""
    request = infer(tensor(shape=[0, 4, 4, 3]), raw=[bytes(48)])
    assert _error(request, configs["img"]) == _R7 + "inference request batch-size must be >= 1 for 'img'"


@pytest.mark.parametrize("rows", [1 << 32, (1 << 32) + 1, (1 << 63) - 1, 1 << 62])
def test_rows_beyond_any_counter_are_too_many(configs: dict[str, ModelConfig], rows: int) -> None:
    """No number of rows wraps around into a good one."""
    assert _error(infer(tensor(shape=[rows, 4, 4, 3]), raw=[bytes(48)]), configs["img"]) == _TOO_LARGE


@pytest.mark.parametrize("rows", [-(1 << 32), 1 - (1 << 32), -(1 << 63)])
def test_negative_rows_are_refused(configs: dict[str, ModelConfig], rows: int) -> None:
    """A negative number of rows is an error, even where its low 32 bits look good."""
    request = infer(tensor(shape=[rows, 4, 4, 3]), raw=[bytes(48)])
    assert _error(request, configs["img"]).startswith(_R7)


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
    inputs = [_multi()[position] for position in (2, 0, 1)]
    inference = _read(infer(*inputs, raw=[raw[each.name] for each in inputs]), configs["multi"])
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
    assert list(_read(infer(*_multi(), outputs=outputs), configs["multi"]).outputs) == expected


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, 0.0), (2500, 0.0025), (0, 0.0), (-1, 0.0), ((1 << 63) - 1, 2**63 / 1e6)]
)
def test_the_timeout_is_in_microseconds(configs: dict[str, ModelConfig], given: int | None, seconds: float) -> None:
    """The `timeout` parameter limits the time in the queue; none and negative ones limit nothing."""
    parameters = {} if given is None else {"timeout": ("int64_param", given)}
    assert _read(infer(tensor(), parameters=parameters), configs["img"]).timeout_seconds == pytest.approx(seconds)


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
    inputs = [tensor(each.name, each.datatype, each.shape, contents=dict([lists[each.datatype]])) for each in _multi()]
    payload = _read(infer(*inputs), configs["multi"]).payload
    position = [each.datatype for each in inputs].index(datatype)
    assert bytes(payload[position]) == expected.tobytes()


def test_typed_numbers_lose_what_their_type_cannot_hold(configs: dict[str, ModelConfig]) -> None:
    """Of a number too large for its type the low bits count, as with Triton."""
    inference = _read(infer(tensor(contents={"uint_contents": [300] * 48})), configs["img"])
    assert bytes(inference.payload[0]) == bytes([300 % 256] * 48)


@pytest.mark.parametrize("key", ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"])
def test_shared_memory_is_not_supported(configs: dict[str, ModelConfig], key: str) -> None:
    """Tensors in shared memory are refused by name, whether they come or go."""
    parameters = {key: ("int64_param", 48)}
    for request in (
        infer(tensor(parameters=parameters), raw=[]),
        infer(tensor(), outputs=[output(parameters=parameters)]),
    ):
        with pytest.raises(Unsupported, match="shared memory is not supported by this server"):
            _read(request, configs["img"])


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


@pytest.mark.parametrize(
    "request_message",
    [
        infer(*(tensor(str(number)) for number in range(1000)), raw=[b""] * 1000),
        infer(tensor(), outputs=[output()] * 1000),
        infer(tensor(), parameters={str(number): ("int64_param", number) for number in range(1000)}),
        infer(tensor(shape=[1] * 100_000)),
        infer(tensor(contents={"uint_contents": [1] * 1_000_000})),
    ],
    ids=["inputs", "outputs", "parameters", "dimensions", "numbers"],
)
def test_absurd_requests_get_a_short_answer(configs: dict[str, ModelConfig], request_message: Any) -> None:
    """Thousands of parts are refused without looking at each of them, and without listing them."""
    text = _error(request_message, configs["img"])
    assert text.startswith(_R7)
    assert len(text) < 600
