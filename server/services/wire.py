"""ModelInferRequest off the wire without copying its tensors.

Protobuf copies a `bytes` field twice before Python sees it. The tensors of a request stand in field 7 of the message,
in plain sight: each is a tag, a length and the bytes. So the message is cut in two, the small rest goes through
protobuf, and the tensors stay where gRPC put them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tritonclient.grpc import service_pb2

_RAW_INPUT_CONTENTS = 7 << 3 | 2  # field 7, length-delimited
_LENGTH_DELIMITED = 2
_LONG_TAG = 0x80
# More of them than any real request has are left to protobuf, which walks through millions much faster.
_MOST_FIELDS = 1024


class InferMessage(NamedTuple):
    """A ModelInferRequest, and views of its `raw_input_contents`; those that no input is left for may be missing."""

    request: Any
    raw: list[memoryview]


def parse_infer_message(message: bytes) -> InferMessage:
    """Split `message` into request and tensors.

    Raises:
        google.protobuf.message.DecodeError: it is no ModelInferRequest.
    """
    view = memoryview(message)
    header: list[memoryview] = []
    raw: list[memoryview] = []
    position, end = 0, len(message)
    for _ in range(_MOST_FIELDS):
        if position == end:
            return InferMessage(service_pb2.ModelInferRequest.FromString(b"".join(header)), raw)
        start, tag = position, message[position]
        size, position = _varint(message, position + 1)
        stop = position + size
        if tag >= _LONG_TAG or tag & 7 != _LENGTH_DELIMITED or stop > end or size < 0:
            break  # fields that the message does not have, or damage: protobuf decides
        if tag == _RAW_INPUT_CONTENTS:
            raw.append(view[position:stop])
        else:
            header.append(view[start:stop])
        position = stop
    return _parse_whole(message)


def _parse_whole(message: bytes) -> InferMessage:
    request = service_pb2.ModelInferRequest.FromString(message)
    contents = request.raw_input_contents[: len(request.inputs)]
    return InferMessage(request, [memoryview(content) for content in contents])


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
