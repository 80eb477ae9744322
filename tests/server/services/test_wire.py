from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.internal import encoder
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from proto import classifier_pb2
from server.errors import InvalidRequest
from server.services import wire
from server.services.wire import parse_classify_message, parse_infer_message

if TYPE_CHECKING:
    from collections.abc import Callable

_PARAMETERS = st.dictionaries(
    st.text(max_size=5),
    st.one_of(
        st.builds(service_pb2.InferParameter, int64_param=st.integers(-(1 << 63), (1 << 63) - 1)),
        st.builds(service_pb2.InferParameter, bool_param=st.booleans()),
        st.builds(service_pb2.InferParameter, string_param=st.text(max_size=5)),
    ),
    max_size=2,
)
_CONTENTS = st.none() | st.builds(
    service_pb2.InferTensorContents,
    uint_contents=st.lists(st.integers(0, (1 << 32) - 1), max_size=3),
    fp32_contents=st.lists(st.floats(width=32), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=5), max_size=2),
)
_INPUTS = st.lists(
    st.builds(
        service_pb2.ModelInferRequest.InferInputTensor,
        name=st.text(max_size=8),
        datatype=st.text(max_size=5),
        shape=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3),
        parameters=_PARAMETERS,
        contents=_CONTENTS,
    ),
    max_size=4,
)
_OUTPUTS = st.lists(
    st.builds(
        service_pb2.ModelInferRequest.InferRequestedOutputTensor, name=st.text(max_size=8), parameters=_PARAMETERS
    ),
    max_size=2,
)
_MESSAGES = st.builds(
    service_pb2.ModelInferRequest,
    model_name=st.text(max_size=8),
    model_version=st.text(max_size=3),
    id=st.text(max_size=8),
    parameters=_PARAMETERS,
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    raw_input_contents=st.lists(st.binary(max_size=300), max_size=5),
).map(lambda message: message.SerializeToString())
# Fields that the protocol's message does not have: numbers above and below 16, of every wire type.
_UNKNOWN = st.sampled_from(
    [
        b"\x40\x05",
        b"\x45abcd",
        b"\x41abcdefgh",
        b"\x4a\x02ab",
        b"\x43\x44",
        b"\x82\x01\x01a",
        b"\xf8\xff\xff\xff\x0f\x01",
    ]
)


def _check_against_protobuf(message: bytes) -> None:
    """Parsing gives what protobuf gives, or fails as protobuf fails."""
    try:
        expected = service_pb2.ModelInferRequest.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            parse_infer_message(message)
        return
    request, raw = parse_infer_message(message)
    inputs = len(expected.inputs)
    assert [bytes(content) for content in raw[:inputs]] == list(expected.raw_input_contents[:inputs])
    assert bool(raw) == bool(expected.raw_input_contents) or not inputs
    assert _without_raw(request) == _without_raw(expected)


def _without_raw(request: Any) -> Any:
    copy = type(request)()
    copy.CopyFrom(request)
    copy.ClearField("raw_input_contents")
    return copy.SerializeToString(deterministic=True)


@given(_MESSAGES)
def test_every_message_is_read_as_protobuf_reads_it(message: bytes) -> None:
    """The header and the tensors are those of protobuf's own parser."""
    _check_against_protobuf(message)


@given(st.lists(_MESSAGES | _UNKNOWN, max_size=5).map(b"".join))
def test_unknown_fields_and_concatenated_messages_are_read_as_protobuf_reads_them(message: bytes) -> None:
    """Later fields replace or extend earlier ones, in any order, and unknown ones do no harm."""
    _check_against_protobuf(message)


@settings(max_examples=200)
@given(
    message=_MESSAGES,
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
)
def test_damaged_messages_are_read_as_protobuf_reads_them(
    message: bytes, cut: int, flips: list[tuple[int, int]]
) -> None:
    """Truncated and altered messages give the same request, or the same error."""
    damaged = bytearray(message[: len(message) - cut] if cut < len(message) else message)
    for position, value in flips:
        if damaged:
            damaged[position % len(damaged)] = value
    _check_against_protobuf(bytes(damaged))


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_noise_is_read_as_protobuf_reads_it(message: bytes) -> None:
    """Bytes that were never a message are an error, or what protobuf takes them for."""
    _check_against_protobuf(message)


@pytest.mark.parametrize(
    "message",
    [
        b"\x3a",  # a tag without a length
        b"\x3a\x05abc",  # a length beyond the end
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 64 bits, which as a signed one is negative
        b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",  # a length of more than ten bytes
        b"\x3a\x83\x80\x00abc",  # a length in more bytes than it needs
        b"\xba\x00\x03abc",  # a tag in more bytes than it needs
        b"\x02\x00",  # field number 0
        b"\x3b\x3c",  # a group
        b"\x38\x01",  # field 7 as a number
        b"\x0a\x01\xff",  # a name that is not UTF-8
    ],
)
def test_corners_of_the_encoding_are_read_as_protobuf_reads_them(message: bytes) -> None:
    """Odd tags and lengths are protobuf's to judge."""
    _check_against_protobuf(message)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 16_383, 16_384, 150_528, 1 << 21])
def test_tensors_stay_where_they_are(size: int) -> None:
    """The raw contents are views of the message itself: nothing was copied, whatever their length."""
    fields = {"model_name": "m" * (size % 1000), "id": "r7", "raw_input_contents": [b"a" * size, b"b"]}
    message = service_pb2.ModelInferRequest(**fields).SerializeToString()
    request, raw = parse_infer_message(message)
    assert (request.model_name, request.id) == (fields["model_name"], "r7")
    assert [bytes(content) for content in raw] == fields["raw_input_contents"]
    assert [content.obj is message for content in raw] == [True, True]
    assert not request.raw_input_contents


@pytest.mark.parametrize("field", [b"\x3a\x00", b"\x2a\x00", b"\x1a\x00"], ids=["raw contents", "inputs", "ids"])
@pytest.mark.parametrize("parse", [parse_infer_message, parse_classify_message])
def test_millions_of_fields_are_refused(
    field: bytes, parse: Callable[[bytes], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of nothing but tiny fields is neither walked to its end nor made objects of."""
    steps, varint = [0], wire._varint

    def counted(message: bytes, position: int) -> tuple[int, int]:
        steps[0] += 1
        return varint(message, position)

    monkeypatch.setattr(wire, "_varint", counted)
    with pytest.raises(InvalidRequest, match=r"^a request can have 4096 fields, but this has more$"):
        parse(field * 1_000_000)
    assert steps[0] < 5000


def _input(content: bytes) -> bytes:
    """An input with these fields, as it stands in a request."""
    return b"\x2a" + _length(content) + content


def _length(content: bytes) -> bytes:
    return encoder._VarintBytes(len(content))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (_input(b"\x22\x00" * 1_000_000), "a request can have 4096 fields"),
        (b"\x32\x02\x12\x00" + _input(b"\x22\x00" * 4095) + _input(b"\x22\x00" * 40_000), "can have 4096 fields"),
        (_input(b"\x2a" + _length(b"\x42\x00" * 1_000_000) + b"\x42\x00" * 1_000_000), "can have 16384 strings"),
        (_input(b"\x1a" + _length(b"\x01" * 2_000_000) + b"\x01" * 2_000_000), "a request can have 4096 fields"),
    ],
    ids=["parameters", "parameters of several", "strings", "dimensions"],
)
def test_millions_of_parts_of_an_input_are_refused(message: bytes, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is small on the wire and large as objects is not made objects of."""
    monkeypatch.setattr(wire, "service_pb2", None)  # nobody asks protobuf
    with pytest.raises(InvalidRequest, match=text):
        parse_infer_message(message)


def test_what_is_large_and_not_many_is_read() -> None:
    """Typed numbers are one field, however many, images as typed strings are few, and so are long parameters."""
    tensor = service_pb2.ModelInferRequest.InferInputTensor
    for contents in ({"uint_contents": [7] * 2_000_000}, {"bytes_contents": [b"i" * 700_000] * 3}):
        request = service_pb2.ModelInferRequest(
            inputs=[tensor(name="x", contents=service_pb2.InferTensorContents(**contents))]
        )
        _check_against_protobuf(request.SerializeToString())
    request = service_pb2.ModelInferRequest(inputs=[tensor(name="x", shape=[1, 2])])
    request.parameters["long"].string_param = request.inputs[0].parameters["long"].string_param = "x" * 2_000_000
    _check_against_protobuf(request.SerializeToString())


@pytest.mark.parametrize("odd", [b"\x43\x44", b"\x02\x00"], ids=["group", "field 0"])
@pytest.mark.parametrize("parse", [parse_infer_message, parse_classify_message])
def test_odd_fields_do_not_hide_millions_of_others(odd: bytes, parse: Callable[[bytes], Any]) -> None:
    """What is left to protobuf to judge is small."""
    with pytest.raises(DecodeError, match="large message"):
        parse(odd + b"\x2a\x00" * 1_000_000)


@given(
    request=st.builds(
        classifier_pb2.ClassifyRequest, images=st.lists(st.binary(max_size=200), max_size=5), top_k=st.integers(0, 9)
    ),
    unknown=_UNKNOWN,
)
def test_classify_requests_are_read_as_protobuf_reads_them(request: Any, unknown: bytes) -> None:
    """With unknown fields, too."""
    message = request.SerializeToString() + unknown
    assert parse_classify_message(message) == classifier_pb2.ClassifyRequest.FromString(message)
