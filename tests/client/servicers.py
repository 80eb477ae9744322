"""Small servers in this process, over real gRPC, that can do what a real server does only on a bad day.

Both say how red, green and blue an image is, so that a wrong image, crop or order shows in the answers.
"""

# ruff: noqa: N802, ARG002 - names and signatures are gRPC's
from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor

from imaging import ImageError, decode_crop
from proto import classifier_pb2, classifier_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LABELS = ("red", "green: leaf", "bleu café")
_DTYPES = {"UINT8": np.uint8, "FP32": np.float32}


def probabilities(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the softmax of the mean channel values of [height, width, 3], 0 to 255."""
    weights = np.exp(pixels.astype(np.float64).mean(axis=(0, 1)) / 16)
    share: NDArray[np.float64] = weights / weights.sum()
    return share


@dataclass
class NativeServicer(classifier_pb2_grpc.ClassifierServicer):  # type: ignore[misc]  # generated without annotations
    """CoordServe's own service; `on_request` may wait, or end the call, before a request is answered."""

    on_request: Callable[[classifier_pb2.ClassifyRequest, grpc.ServicerContext], None] = lambda *_: None
    has_stream: bool = True
    calls: list[str] = field(default_factory=list)

    def Classify(self, request: classifier_pb2.ClassifyRequest, context: grpc.ServicerContext) -> Any:
        """Answers one request."""
        self.calls.append("Classify")
        return self._answer(request, context)

    def ClassifyStream(self, requests: Iterator[classifier_pb2.ClassifyRequest], context: grpc.ServicerContext) -> Any:
        """Answers each request in turn."""
        self.calls.append("ClassifyStream")
        if not self.has_stream:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no streams here")
        return (self._answer(request, context) for request in requests)

    def _answer(self, request: classifier_pb2.ClassifyRequest, context: grpc.ServicerContext) -> Any:
        self.on_request(request, context)
        return classifier_pb2.ClassifyResponse(
            model_name=request.model_name or "colour",
            model_version=request.model_version or "1",
            request_id=request.request_id,
            results=[_native_result(image, request.top_k) for image in request.images],
        )


def _native_result(image: bytes, top_k: int) -> classifier_pb2.ImageResult:
    try:
        share = probabilities(decode_crop(image, 32, 32))
    except ImageError as error:
        return classifier_pb2.ImageResult(error=classifier_pb2.Error(code=3, message=str(error)))
    best = np.argsort(-share)[:top_k]
    classes = [classifier_pb2.Class(index=int(i), label=LABELS[i], probability=share[i]) for i in best]
    return classifier_pb2.ImageResult(classes=classes, timing=classifier_pb2.Timing(compute_ns=7, batch_size=1))


@dataclass
class PlainServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # as above
    """A server that has only the Open Inference Protocol, with Triton's classification extension."""

    datatype: str = "UINT8"
    dims: tuple[int, ...] = (32, 32, 3)
    max_batch_size: int = 4
    config: str = ""
    models: tuple[str, ...] = ("colour",)
    on_request: Callable[[Any, grpc.ServicerContext], None] = lambda *_: None

    def RepositoryIndex(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Lists the models, and one that is broken."""
        models = [{"name": name, "version": "1", "state": "READY"} for name in self.models]
        models.append({"name": "torn", "version": "1", "state": "UNAVAILABLE", "reason": "torn in two"})
        return service_pb2.RepositoryIndexResponse(models=models)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Describes the model's tensors."""
        if request.name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        shape = [*([-1] if self.max_batch_size else []), *self.dims]
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata(name="IN", datatype=self.datatype, shape=shape)
        return service_pb2.ModelMetadataResponse(name=request.name, inputs=[tensor])

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Describes the model."""
        response = service_pb2.ModelConfigResponse()
        text = f'max_batch_size: {self.max_batch_size} output {{ name: "OUT" label_filename: "l" }} {self.config}'
        text_format.Parse(text, response.config)
        return response

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Classifies the images of a tensor."""
        self.on_request(request, context)
        shape = tuple(request.inputs[0].shape)
        images = shape if self.max_batch_size else (1, *shape)
        if images[0] > max(1, self.max_batch_size) or images[1:] != self.dims:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected shape {shape} for input 'IN'")
        pixels = np.frombuffer(request.raw_input_contents[0], _DTYPES[self.datatype]).reshape(images)
        top_k = min(request.outputs[0].parameters["classification"].int64_param, len(LABELS))
        strings = [text for image in pixels for text in self._strings(image, top_k)]
        return service_pb2.ModelInferResponse(
            model_name=request.model_name,
            model_version=request.model_version or "1",
            id=request.id,
            outputs=[{"name": "OUT", "datatype": "BYTES", "shape": [*images[:1], top_k]}],
            raw_output_contents=[serialize_byte_tensor(np.array(strings, dtype=object)).item()],
        )

    def _strings(self, image: NDArray[Any], top_k: int) -> list[bytes]:
        if self.dims[0] == 3:
            image = image.transpose(1, 2, 0)
        share = probabilities(image * 255 if self.datatype == "FP32" else image)
        return [f"{share[i]:.6f}:{i}:{LABELS[i]}".encode() for i in np.argsort(-share)[:top_k]]


@contextmanager
def serving(
    *servicers: NativeServicer | PlainServicer,
    address: str = "127.0.0.1:0",
    credentials: grpc.ServerCredentials | None = None,
    **options: int,
) -> Iterator[str]:
    """Serves until the end of the block and gives the address; `options` are gRPC's, with _ for the first dot."""
    channel_options = [(f"grpc.{name}", value) for name, value in options.items()]
    with ThreadPoolExecutor(32) as pool:
        server = grpc.server(pool, options=channel_options)
        for servicer in servicers:
            if isinstance(servicer, NativeServicer):
                classifier_pb2_grpc.add_ClassifierServicer_to_server(servicer, server)
            else:
                service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


class Gate:
    """Holds requests up until the end of its `with` block, which must stand inside that of `serving`."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait(self) -> None:
        """Waits until the gate is opened."""
        self.reached.set()
        self._opened.wait()

    def __enter__(self) -> Gate:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def open(self) -> None:
        """Lets all requests pass from now on."""
        self._opened.set()
