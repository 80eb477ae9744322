"""What is asked of both servers about ensembles and models in Python: one request each, and both must answer alike."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tritonclient.grpc import service_pb2 as pb

from tests.parity.cases import Case
from tests.parity.ensemble_models import MISFITS
from tests.parity.messages import Output, Tensor, infer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def photograph(seed: int = 1, kind: str = "PNG") -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 31, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def elements(*contents: bytes) -> bytes:
    """The raw form of BYTES."""
    return b"".join(struct.pack("<I", len(content)) + content for content in contents)


def files(*contents: bytes, shape: Sequence[int] | None = None, name: str = "IMAGE", **changes: Any) -> Tensor:
    """An input of encoded images."""
    given = [len(contents), 1] if shape is None else shape
    raw = None if "contents" in changes else elements(*contents)
    return Tensor(**{"name": name, "datatype": "BYTES", "shape": given, "raw": raw, **changes})


def ask_ensemble(*contents: bytes, **changes: Any) -> pb.ModelInferRequest:
    """A request for the classes of encoded images."""
    tensor = changes.pop("tensor", None) or files(*contents)
    return infer(tensor, model=changes.pop("model", "classify_image"), **changes)


def echo(texts: Sequence[bytes], numbers: Sequence[int] = (1,), **changes: Any) -> pb.ModelInferRequest:
    """A request of one row for the model `echo`."""
    values = np.array([numbers], "<i4")
    tensors = (
        Tensor("NUMBERS", "INT32", values.shape, values.tobytes()),
        Tensor("TEXTS", "BYTES", (1, len(texts)), elements(*texts)),
    )
    return infer(*tensors, model="echo", **changes)


def images() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Images that can be decoded."""
    top2 = [Output("PROBABILITIES", {"classification": 2})]
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        yield kind, ask_ensemble(photograph(kind=kind))
    yield "three images", ask_ensemble(*map(photograph, (1, 2, 3)))
    yield "the largest batch", ask_ensemble(*map(photograph, range(8)))
    yield "typed contents", ask_ensemble(tensor=files(shape=(1, 1), contents={"bytes_contents": [photograph()]}))
    yield "no id", ask_ensemble(photograph(), request_id="")
    yield "version 1", ask_ensemble(photograph(), version="1")
    yield "classes", ask_ensemble(*map(photograph, (1, 2)), outputs=top2)
    yield "an ensemble of an ensemble", ask_ensemble(tensor=files(photograph(), shape=(1,), name="FILE"), model="outer")
    yield (
        "classes of a model within",
        ask_ensemble(
            tensor=files(photograph(), shape=(1,), name="FILE"),
            model="outer",
            outputs=[Output("CLASSES", {"classification": 2})],
        ),
    )
    yield "the step alone", ask_ensemble(*map(photograph, (1, 2)), model="decode_image")
    yield "with a timeout", ask_ensemble(photograph(), parameters={"timeout": 10_000_000, "custom": "x"})


def broken_images() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Images that cannot be decoded."""
    for model in ("classify_image", "decode_image"):
        yield f"no image for {model}", ask_ensemble(b"no image", model=model)
        yield f"an empty file for {model}", ask_ensemble(b"", model=model)
        yield f"half a file for {model}", ask_ensemble(photograph()[:200], model=model)
        yield f"a broken one among three for {model}", ask_ensemble(photograph(1), b"no", photograph(2), model=model)
    yield "no image within", ask_ensemble(tensor=files(b"no image", shape=(1,), name="FILE"), model="outer")


def wrong_texts() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Tensors of BYTES that are none, or of another shape."""
    good = elements(photograph())
    for model in ("classify_image", "decode_image"):
        for name, tensor in (
            ("too few elements", files(photograph(), shape=(2, 1))),
            ("too many elements", files(photograph(), photograph(), shape=(1, 1))),
            ("half a length", files(shape=(1, 1), raw=b"ab")),
            ("half an element", files(shape=(1, 1), raw=good[:-1])),
            ("a byte too many", files(shape=(1, 1), raw=good + b"x")),
            ("a huge length", files(shape=(1, 1), raw=b"\xff\xff\xff\xff")),
            ("no elements", files(shape=(1, 1))),
            ("no rows", files(shape=(0, 1))),
            ("too few typed elements", files(shape=(2, 1), contents={"bytes_contents": [photograph()]})),
            ("another data type", files(photograph(), datatype="UINT8")),
            ("another shape", files(photograph(), shape=(1, 2))),
            ("another rank", files(photograph(), shape=(1,))),
            ("an open dimension", files(photograph(), shape=(1, -1))),
            ("too many rows", files(*[photograph()] * 9)),
            ("another name", files(photograph(), name="PICTURE")),
        ):
            yield f"{name} for {model}", ask_ensemble(tensor=tensor, model=model)
    yield "an unknown output", ask_ensemble(photograph(), outputs=[Output("PIXELS")])
    yield "an unknown version", ask_ensemble(photograph(), version="2")


def code() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """A model in Python by itself. Classes of texts are not asked for: Triton crashes."""
    yield "numbers and texts", echo([b"a", b"", b"\0b"], [1, 2])
    yield "no numbers", echo([b"a"], [])
    yield "an answer that is an error", echo([b"plain"])
    for name in ("INTERNAL", "NOT_FOUND", "INVALID_ARG", "UNAVAILABLE", "UNSUPPORTED", "ALREADY_EXISTS", "CANCELLED"):
        yield f"error {name}", echo([b"code", name.encode()])
    yield "error UNKNOWN", echo([b"code", b"UNKNOWN"])
    yield "an exception", echo([b"raise"])
    yield "classes of numbers", echo([b"a"], [3, 9], outputs=[Output("NUMBERS", {"classification": 1})])
    yield "one output", echo([b"a"], outputs=[Output("TEXTS")])
    yield "parameters", echo([b"parameters"], parameters={"custom": "x"})
    yield "no parameters", echo([b"parameters"])


def descriptions() -> Iterator[tuple[str, str, Any]]:
    """Metadata, configuration and readiness."""
    for name in ("classify_image", "decode_image", "outer", "echo"):
        yield f"ready {name}", "ModelReady", pb.ModelReadyRequest(name=name)
        yield f"metadata {name}", "ModelMetadata", pb.ModelMetadataRequest(name=name)
        yield f"config {name}", "ModelConfig", pb.ModelConfigRequest(name=name)
    yield "index of what is ready", "RepositoryIndex", pb.RepositoryIndexRequest(ready=True)


def control() -> Iterator[tuple[str, str, Any]]:
    """The models of steps come and go, and with them their ensembles; one step each."""

    def load(name: str) -> tuple[str, str, Any]:
        return f"load {name}", "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name=name)

    def unload(name: str) -> tuple[str, str, Any]:
        return f"unload {name}", "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name=name)

    def state() -> Iterator[tuple[str, str, Any]]:
        for name in ("classify_image", "decode_image", "outer"):
            yield f"ready {name}", "ModelReady", pb.ModelReadyRequest(name=name)
        yield "index of what is ready", "RepositoryIndex", pb.RepositoryIndexRequest(ready=True)
        yield "infer", "ModelInfer", ask_ensemble(photograph())
        yield "infer version 1", "ModelInfer", ask_ensemble(photograph(), version="1")
        yield "metadata", "ModelMetadata", pb.ModelMetadataRequest(name="classify_image")
        yield "statistics", "ModelStatistics", pb.ModelStatisticsRequest(name="outer")

    for name in MISFITS:
        yield load(name)
    for step in (unload("decode_image"), load("decode_image"), unload("network"), load("classify_image")):
        yield step
        yield from ((f"{text} after {step[0]}", rpc, request) for text, rpc, request in state())
    yield unload("classify_image")
    yield "the step without its ensemble", "ModelInfer", ask_ensemble(photograph(), model="decode_image")
    yield load("outer")
    yield "infer again", "ModelInfer", ask_ensemble(photograph())


_INFERENCES = (images, broken_images, wrong_texts, code)
ENSEMBLE_CASES = [
    *(Case(f"ensemble: {name}", "ModelInfer", request) for table in _INFERENCES for name, request in table()),
    *(Case(f"ensemble: {name}", rpc, request) for name, rpc, request in descriptions()),
]
# One after the other; all but `MISFITS` are loaded at first.
ENSEMBLE_CONTROL = [Case(f"ensemble control: {name}", rpc, request) for name, rpc, request in control()]
ENSEMBLE_MOVEMENTS = {
    "ensemble counts: one image": [ask_ensemble(photograph())],
    "ensemble counts: three images, twice": [ask_ensemble(*map(photograph, (1, 2, 3)))] * 2,
    "ensemble counts: classes": [ask_ensemble(photograph(), outputs=[Output("PROBABILITIES", {"classification": 2})])],
    "ensemble counts: refused": [ask_ensemble(tensor=files(photograph(), shape=(2, 1)))],
    "ensemble counts: a broken image": [ask_ensemble(b"no image")],
}
