"""Requests that a server must refuse, each with the code that it has to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import service_pb2

from client.open_inference import infer_request
from loadtest.target import CLASSIFY, INFER
from loadtest.workload import Message
from proto import classifier_pb2

if TYPE_CHECKING:
    from client.model_interface import ModelInterface

_NO_SUCH_MODEL = "no-such-model"


def bad_messages(model: ModelInterface, method: str) -> list[Message]:
    """One message of each kind of bad input for `model`."""
    if method == CLASSIFY:
        return [
            _classify("no image", "INVALID_ARGUMENT", model_name=model.model, images=[b"no image at all"]),
            _classify("truncated", "INVALID_ARGUMENT", model_name=model.model, images=[b"\xff\xd8\xff\xe0\0\x10JFIF"]),
            _classify("empty", "INVALID_ARGUMENT", model_name=model.model),
            _classify("no model", "NOT_FOUND", model_name=_NO_SUCH_MODEL, images=[b"no image at all"]),
        ]
    shape = (model.height, model.width, 3) if not model.channels_first else (3, model.height, model.width)
    pixels = np.zeros(shape, np.uint8 if model.datatype == "UINT8" else np.float32)
    narrow = infer_request(model, "", [np.ascontiguousarray(pixels[:-1])], 1)
    short = infer_request(model, "", [pixels], 1)
    short.raw_input_contents[0] = short.raw_input_contents[0][:-1]
    absent = infer_request(model, "", [pixels], 1)
    absent.model_name = _NO_SUCH_MODEL
    empty = service_pb2.ModelInferRequest(model_name=model.model)
    return [
        _infer("shape", "INVALID_ARGUMENT", narrow),
        _infer("too few bytes", "INVALID_ARGUMENT", short),
        _infer("no input", "INVALID_ARGUMENT", empty),
        _infer("no model", "NOT_FOUND", absent),
    ]


def _classify(kind: str, expected: str, **fields: Any) -> Message:
    body = classifier_pb2.ClassifyRequest(**fields).SerializeToString()
    return Message(body, CLASSIFY, f"bad: {kind}", max(1, len(fields.get("images", ()))), expected)


def _infer(kind: str, expected: str, request: Any) -> Message:
    return Message(request.SerializeToString(), INFER, f"bad: {kind}", 1, expected)
