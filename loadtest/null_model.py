"""The null server's one model: what it says of itself, what it answers, and what it refuses as the real server does."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from PIL import Image, UnidentifiedImageError
from tritonclient.grpc import model_config_pb2, service_pb2

from proto import classifier_pb2

NAME, VERSION = "null", "1"
_INPUT, _OUTPUT = "INPUT__0", "OUTPUT__0"
_CLASSES = 10
_MAX_BATCH_SIZE = 1024
_DATATYPES = {"uint8": ("UINT8", 1), "float32": ("FP32", 4)}  # with the bytes of an element
_REMEMBERED = 4096  # images that need not be decoded again


class Refused(Exception):  # noqa: N818 - what happens to bad input
    """The request can never succeed; the message is for the caller."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class NullModel:
    """Takes square images, one or more in a request, and finds the same in each."""

    def __init__(self, payload: str, size: int) -> None:
        """Of `payload` (`uint8` or `float32`), `size` pixels wide and high."""
        self._shape = [size, size, 3]
        self._datatype, self._element_bytes = _DATATYPES[payload]
        self._infer_replies: dict[int, bytes] = {}

    def metadata(self, request: bytes) -> Any:
        """ModelMetadata.

        Raises:
            Refused: There is no such model.
        """
        _check_name(service_pb2.ModelMetadataRequest.FromString(request).name)
        tensor = {"name": _INPUT, "datatype": self._datatype, "shape": [-1, *self._shape]}
        output = {"name": _OUTPUT, "datatype": "FP32", "shape": [-1, _CLASSES]}
        return service_pb2.ModelMetadataResponse(name=NAME, versions=[VERSION], inputs=[tensor], outputs=[output])

    def config(self, request: bytes) -> Any:
        """ModelConfig.

        Raises:
            Refused: There is no such model.
        """
        _check_name(service_pb2.ModelConfigRequest.FromString(request).name)
        config = model_config_pb2.ModelConfig(name=NAME, max_batch_size=_MAX_BATCH_SIZE)
        config.output.add(name=_OUTPUT, dims=[_CLASSES])
        return service_pb2.ModelConfigResponse(config=config)

    def infer(self, body: bytes) -> bytes:
        """The answer to a ModelInferRequest.

        Raises:
            Refused: It is no request that the model takes.
        """
        try:
            request = service_pb2.ModelInferRequest.FromString(body)
        except DecodeError as error:
            raise _invalid("Unable to parse request") from error
        _check_name(request.model_name, request.model_version)
        rows = self._rows(request)
        reply = self._infer_replies.get(rows) or self._infer_replies.setdefault(rows, infer_reply(rows))
        return reply + service_pb2.ModelInferResponse(id=request.id).SerializeToString() if request.id else reply

    def _rows(self, request: Any) -> int:
        """How many images are in a request."""
        if [tensor.name for tensor in request.inputs] != [_INPUT]:
            raise _invalid(f"expected 1 input, '{_INPUT}', for model '{NAME}'")
        (tensor,) = request.inputs
        if tensor.datatype != self._datatype:
            raise _invalid(f"input '{_INPUT}' has data type {tensor.datatype}; the model takes {self._datatype}")
        rows, *shape = tensor.shape or [0]
        if shape != self._shape or not 1 <= rows <= _MAX_BATCH_SIZE:
            raise _invalid(f"input '{_INPUT}' has shape {list(tensor.shape)}; the model takes {[-1, *self._shape]}")
        expected = math.prod(tensor.shape) * self._element_bytes
        raw = [len(each) for each in request.raw_input_contents]
        typed = len(tensor.contents.uint_contents) + len(tensor.contents.fp32_contents)
        if (raw or [typed * self._element_bytes]) != [expected]:
            raise _invalid(f"input '{_INPUT}' has not the {expected} bytes of its shape")
        return int(rows)

    def classify(self, body: bytes) -> bytes:
        """The answer to a ClassifyRequest; an image that cannot be decoded has an error of its own.

        Raises:
            Refused: No image can be tried.
        """
        try:
            request = classifier_pb2.ClassifyRequest.FromString(body)
        except DecodeError as error:
            raise _invalid("Unable to parse request") from error
        if request.model_name:
            _check_name(request.model_name, request.model_version)
        if not request.images:
            raise _invalid("the request has no images")
        return classify_reply([_is_image(image) for image in request.images])


def infer_reply(rows: int = 1) -> bytes:
    """A ModelInferResponse for so many images."""
    response = service_pb2.ModelInferResponse(
        model_name=NAME, model_version=VERSION, raw_output_contents=[bytes(4 * _CLASSES * rows)]
    )
    response.outputs.add(name=_OUTPUT, datatype="FP32", shape=[rows, _CLASSES])
    reply: bytes = response.SerializeToString()
    return reply


def classify_reply(images: list[bool]) -> bytes:
    """A ClassifyResponse for images, of which some are none."""
    response = classifier_pb2.ClassifyResponse(model_name=NAME, model_version=VERSION)
    for is_image in images:
        result = response.results.add()
        if is_image:
            for index in range(5):
                result.classes.add(index=index, label=f"class {index}", probability=0.2)
        else:
            result.error.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            result.error.message = "the image cannot be decoded"
    reply: bytes = response.SerializeToString()
    return reply


@lru_cache(_REMEMBERED)
def _is_image(encoded: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False
    return True


def _check_name(name: str, version: str = "") -> None:
    if name != NAME or version not in ("", VERSION):
        raise Refused(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")


def _invalid(text: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, text)
