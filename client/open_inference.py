"""Classifying over the plain Open Inference Protocol, as Triton speaks it: pixels in, classification strings out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from client.classification_strings import read_class_rows
from client.errors import InvalidImage, InvalidRequest, ModelNotFound, ServerError, UnsupportedModel
from client.images import file_name
from client.model_interface import ModelInterface, read_interface
from client.results import Classification, ImageFailure, Result
from client.steps import Rpc, Send, Steps, Work, once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.images import Image

Pixels: TypeAlias = NDArray[Any]


class OpenInference:
    """Classifies with one model of a server that takes only tensors; remembers what the model takes.

    Attributes:
        interface: What the model takes, once it is known.
    """

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._version = version
        self.interface: ModelInterface | None = None

    def classify(
        self, images: Sequence[Image], top_k: int, request_id: str = "", send: Send = once
    ) -> Steps[list[Result]]:
        """Classifies `images` in as few requests as the model's batch size allows; an image may fail on its own.

        Args:
            images: At least one.
            top_k: Classes of each image.
            request_id: Any text of the caller's.
            send: `once`, or `repeatable` for work that shall outlive a broken connection.

        Raises:
            ClientError: A request failed as a whole.
        """
        interface = self.interface or (yield from self._ask_interface())
        size = interface.images_per_request
        results: list[Result] = []
        for start in range(0, len(images), size):
            some = images[start : start + size]
            decoded: list[Pixels | InvalidImage] = yield Work(partial(_decode_each, interface, some))
            pixels = [each for each in decoded if not isinstance(each, InvalidImage)]
            rows = iter((yield from self._infer(interface, pixels, top_k, request_id, send)))
            results += [
                ImageFailure(file_name(image), each)
                if isinstance(each, InvalidImage)
                else replace(next(rows), file=file_name(image))
                for image, each in zip(some, decoded, strict=True)
            ]
        return results

    def _ask_interface(self) -> Steps[ModelInterface]:
        if self._model:
            self.interface = yield from _interface_of(self._model, self._version)
        else:
            self.interface = yield from _only_classifier(self._version)
        return self.interface

    def _infer(
        self, interface: ModelInterface, pixels: Sequence[Pixels], top_k: int, request_id: str, send: Send
    ) -> Steps[list[Classification]]:
        if not pixels:
            return []
        request = infer_request(interface, self._version, pixels, top_k, request_id)
        try:
            response = yield from send(Rpc("ModelInfer", request))
        except InvalidRequest:
            self.interface = None  # a reload may have changed the model's shape: ask again before the next image
            raise
        return read_infer_response(response, len(pixels))


def infer_request(
    interface: ModelInterface, version: str, pixels: Sequence[Pixels], top_k: int, request_id: str = ""
) -> Any:
    """Makes the `ModelInferRequest` that asks for the `top_k` classes of decoded images, one or more."""
    batch_shape = [len(pixels)] if interface.max_batch_size else []
    request = service_pb2.ModelInferRequest(
        model_name=interface.model,
        model_version=version,
        id=request_id,
        inputs=[
            service_pb2.ModelInferRequest.InferInputTensor(
                name=interface.input_name, datatype=interface.datatype, shape=[*batch_shape, *pixels[0].shape]
            )
        ],
        raw_input_contents=[np.stack(pixels).tobytes()],
    )
    output = request.outputs.add(name=interface.output_name)
    output.parameters["classification"].int64_param = top_k
    return request


def read_infer_response(response: Any, images: int) -> list[Classification]:
    """Reads the classes of each of a request's images; their files are not known here.

    Raises:
        ServerError: The response has no classification strings, or not those of so many images.
    """
    if len(response.outputs) != 1 or len(response.raw_output_contents) != 1 or response.outputs[0].datatype != "BYTES":
        raise ServerError(f"model '{response.model_name}' was asked for classes and sent something else")
    rows = read_class_rows(response.raw_output_contents[0], images)
    return [Classification(None, response.model_name, response.model_version, classes) for classes in rows]


def _interface_of(model: str, version: str) -> Steps[ModelInterface]:
    asked = {"name": model, "version": version}
    metadata = yield Rpc("ModelMetadata", service_pb2.ModelMetadataRequest(**asked))
    config = yield Rpc("ModelConfig", service_pb2.ModelConfigRequest(**asked))
    return read_interface(metadata, config.config)


def _only_classifier(version: str) -> Steps[ModelInterface]:
    """Finds the one ready model that takes pixels; steps of ensembles and the like may be beside it."""
    response = yield Rpc("RepositoryIndex", service_pb2.RepositoryIndexRequest(ready=True))
    names: list[str] = sorted({model.name for model in response.models if model.state == "READY"})
    if len(names) == 1:
        return (yield from _interface_of(names[0], version))
    found = []
    for name in names:
        with contextlib.suppress(UnsupportedModel, ModelNotFound):  # not every model has the version that is asked for
            found.append((yield from _interface_of(name, version)))
    if len(found) > 1:
        raise ModelNotFound(f"name a model; the server has several: {', '.join(each.model for each in found)}")
    if not found:
        others = f", only {', '.join(names)}" if names else ""
        raise ModelNotFound(f"the server has no model that is ready and classifies images{others}")
    return found[0]


def _decode_each(interface: ModelInterface, images: Sequence[Image]) -> list[Pixels | InvalidImage]:
    return [_decode(interface, image) for image in images]


def _decode(interface: ModelInterface, image: Image) -> Pixels | InvalidImage:
    try:
        return interface.decode(image)
    except InvalidImage as error:
        return error
