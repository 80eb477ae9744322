"""Messages off the wire: their tensors are not copied, and what has more parts than any real request is not built.

Protobuf copies a `bytes` field twice before Python sees it. The tensors of a request stand in field 7 of the message,
in plain sight: each is a tag, a length and the bytes. So the message is cut in two, the small rest goes through
protobuf, and the tensors stay where gRPC put them.

A field of two bytes becomes an object of a hundred. So fields are counted before protobuf makes objects of them, and
where the rest is not small, so are those of its inputs and outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from proto import classifier_pb2
from server.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Of a request: its inputs and outputs, fields 5 and 6, and its tensors, field 7.
_INPUTS, _OUTPUTS, _RAW_INPUT_CONTENTS = 5 << 3 | 2, 6 << 3 | 2, 7 << 3 | 2
# Of an input: its shape, field 3, packed, and typed contents, field 5.
_SHAPE, _TYPED_CONTENTS = 3 << 3 | 2, 5 << 3 | 2
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}  # by wire type
_LONG_TAG = 0x80
_MOST_NUMBER = (1 << 29) - 1  # of a field
# More of them than any real request has.
_MOST_FIELDS = 4096
_MOST_ELEMENTS = 1 << 14  # of typed contents that have a field for each, which only strings have
# Of a request but for its tensors: so much does no harm, whatever it is.
_SMALL_REST_BYTES = 1 << 16
# Of a message with fields that no message here has, or with damage.
_MOST_ODD_BYTES = 1 << 16
_TOO_MANY_FIELDS = f"a request can have {_MOST_FIELDS} fields, but this has more"
_TOO_MANY_ELEMENTS = f"typed contents can have {_MOST_ELEMENTS} strings, but these have more: send raw contents"


class InferMessage(NamedTuple):
    """A ModelInferRequest, and views of its `raw_input_contents`; those that no input is left for may be missing."""

    request: Any
    raw: list[memoryview]


class _OddFieldError(Exception):
    """A message has something that is left to protobuf to judge."""


def parse_infer_message(message: bytes) -> InferMessage:
    """Split `message` into request and tensors.

    Raises:
        google.protobuf.message.DecodeError: it is no ModelInferRequest.
        InvalidRequest: it has too many fields, or its inputs and outputs have.
    """
    view = memoryview(message)
    header: list[memoryview] = []
    raw: list[memoryview] = []
    parts: list[tuple[int, int]] = []
    try:
        for tag, start, content, stop in _fields(message, 0, len(message)):
            if tag == _RAW_INPUT_CONTENTS:
                raw.append(view[content:stop])
                continue
            header.append(view[start:stop])
            if tag in (_INPUTS, _OUTPUTS):
                parts.append((content, stop))
        if sum(map(len, header)) > _SMALL_REST_BYTES:
            _check_parts(message, parts)
    except _OddFieldError:
        request = _parse_odd(message, service_pb2.ModelInferRequest)
        contents = request.raw_input_contents[: len(request.inputs)]
        return InferMessage(request, [memoryview(content) for content in contents])
    return InferMessage(service_pb2.ModelInferRequest.FromString(b"".join(header)), raw)


def parse_classify_message(message: bytes) -> Any:
    """Return the ClassifyRequest that `message` is.

    Raises:
        google.protobuf.message.DecodeError: it is none.
        InvalidRequest: it has too many fields.
    """
    try:
        for _ in _fields(message, 0, len(message)):
            pass
    except _OddFieldError:
        return _parse_odd(message, classifier_pb2.ClassifyRequest)
    return classifier_pb2.ClassifyRequest.FromString(message)


def _parse_odd(message: bytes, kind: Any) -> Any:
    if len(message) > _MOST_ODD_BYTES:
        raise DecodeError("a large message with fields that it cannot have")
    return kind.FromString(message)


def _check_parts(message: bytes, parts: Sequence[tuple[int, int]]) -> None:
    """Count what the inputs and outputs that stand at `parts` have: fields, dimensions and texts.

    Raises:
        InvalidRequest: there are too many.
    """
    fields, elements = _MOST_FIELDS, _MOST_ELEMENTS
    for begin, end in parts:
        for tag, _, content, stop in _fields(message, begin, end, fields):
            fields -= 1
            if tag == _SHAPE:
                fields -= stop - content  # each dimension has a byte, or more
            elif tag == _TYPED_CONTENTS:
                elements -= sum(1 for _ in _fields(message, content, stop, elements, _TOO_MANY_ELEMENTS))
    if fields < 0:
        raise InvalidRequest(_TOO_MANY_FIELDS)


def _fields(
    message: bytes, position: int, end: int, most: int = _MOST_FIELDS, too_many: str = _TOO_MANY_FIELDS
) -> Iterator[tuple[int, int, int, int]]:
    """Each field's tag, and where it starts, where its content starts, and where both end.

    Raises:
        _OddFieldError: it is none that can be told without knowing the message: a group, or damage.
        InvalidRequest: there are more than `most`, with the text `too_many`.
    """
    for _ in range(most):
        if position == end:
            return
        start, tag, content = position, message[position], position + 1
        if tag >= _LONG_TAG:
            tag, content = _varint(message, start)
        content, position = _extent(message, tag, content)
        if position > end:
            raise _OddFieldError
        yield tag, start, content, position
    if position != end:
        raise InvalidRequest(too_many)


def _extent(message: bytes, tag: int, position: int) -> tuple[int, int]:
    """Where the content of a field starts and ends, of which the tag stands before `position`."""
    wire_type = tag & 7
    if not 1 <= tag >> 3 <= _MOST_NUMBER:
        raise _OddFieldError
    if wire_type in _FIXED_SIZES:
        return position, position + _FIXED_SIZES[wire_type]
    value, behind = _varint(message, position)
    if value < 0 or wire_type not in (_VARINT, _LENGTH_DELIMITED):
        raise _OddFieldError
    return (position, behind) if wire_type == _VARINT else (behind, behind + value)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The number at `position` and the position behind it; -1 if there is none."""
    value = shift = 0
    for byte in message[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
            return value, position
        shift += 7
    return -1, position
