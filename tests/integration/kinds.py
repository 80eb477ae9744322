"""Calls of all kinds, good and bad, and the counters that each of them moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.integration import rows
from tests.integration.images import classify, picture

INFER, CLASSIFY = "inference.GRPCInferenceService/Model", "coordserve.v1.Classifier/Classify"
GARBAGE = b"\x0a\xff\xff\xff\xff\x0f tail"
GOOD, BAD = picture(200, 0, 0), b"no image"


@dataclass(frozen=True)
class Kind:
    """A call with one message or several, and all counters that it moves."""

    name: str
    method: str
    messages: tuple[Any, ...]
    moved: dict[str, int]


def _wrong_shape() -> Any:
    request = rows.request("worker", 1)
    request.inputs[0].shape[:] = [1, 3]
    return request


def _rejected(method: str, code: str, reason: str, model: str = "", why: str = "") -> dict[str, int]:
    of_model = {f"accepted {model}": 1, f"failure {model} {why}": 1} if model else {}
    return {f"call {method} {code}": 1, f"rejected {reason}": 1, **of_model}


ONE = {"call ModelInfer OK": 1, "accepted worker": 1, "success worker": 1}
LARGE = bytes(5 << 20)  # above the server's limit of 4 MiB, and not so far that gRPC refuses it unseen
KINDS = [
    Kind("good", INFER + "Infer", (rows.request("worker", 1),), ONE),
    Kind("several rows", INFER + "Infer", (rows.batch_request("worker", [(1, 0)] * 3),), ONE),
    Kind("unknown model", INFER + "Infer", (rows.request("x", 1),), _rejected("ModelInfer", "NOT_FOUND", "not_found")),
    Kind(
        "unknown version",
        INFER + "Infer",
        (rows.request("worker", 1, version="7"),),
        _rejected("ModelInfer", "NOT_FOUND", "not_found"),
    ),
    Kind("wrong shape", INFER + "Infer", (_wrong_shape(),), _rejected("ModelInfer", "INVALID_ARGUMENT", "invalid")),
    Kind("no message", INFER + "Infer", (GARBAGE,), _rejected("ModelInfer", "INVALID_ARGUMENT", "invalid")),
    Kind("too large", INFER + "Infer", (LARGE,), _rejected("ModelInfer", "RESOURCE_EXHAUSTED", "too_large")),
    Kind(
        "too large in a stream",
        INFER + "StreamInfer",
        (LARGE,),
        _rejected("ModelStreamInfer", "RESOURCE_EXHAUSTED", "too_large"),
    ),
    Kind("unknown method", "a.Service/Method", (b"",), _rejected("unknown", "UNIMPLEMENTED", "unsupported")),
    Kind(
        "model that raises",
        INFER + "Infer",
        (rows.request("worker", 1, -1),),
        _rejected("ModelInfer", "INTERNAL", "model", "worker", "BACKEND"),
    ),
    Kind(
        "stream of good and bad",
        INFER + "StreamInfer",
        (rows.request("worker", 1), rows.request("x", 1), rows.request("worker", 2, -1), rows.request("worker", 3)),
        {
            "call ModelStreamInfer OK": 1,
            "accepted worker": 3,
            "success worker": 2,
            "failure worker BACKEND": 1,
            "rejected not_found": 1,
            "rejected model": 1,
        },
    ),
    Kind("stream of nothing", INFER + "StreamInfer", (), {"call ModelStreamInfer OK": 1}),
    Kind(
        "mixed images",
        CLASSIFY,
        (classify(GOOD, BAD, GOOD, BAD, GOOD),),
        {
            "call Classify OK": 1,
            "accepted colours": 5,
            "success colours": 3,
            "failure colours OTHER": 2,
            "rejected invalid_image": 2,
        },
    ),
    Kind("no images", CLASSIFY, (classify(),), _rejected("Classify", "INVALID_ARGUMENT", "invalid")),
    Kind(
        "stream of images",
        CLASSIFY + "Stream",
        (classify(GOOD), classify(BAD), classify(GOOD, model="x"), classify()),
        {
            "call ClassifyStream OK": 1,
            "accepted colours": 2,
            "success colours": 1,
            "failure colours OTHER": 1,
            "rejected invalid_image": 1,
            "rejected not_found": 1,
            "rejected invalid": 1,
        },
    ),
]
