"""What a classifier says to its server, whichever protocol the server turns out to have."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2

from client.errors import ClientError, DeadlineExceeded, RequestCancelled, ServerUnreachable, Unimplemented
from client.images import file_name, read_image
from client.model_status import ServerStatus, read_status
from client.native import classify_request, read_classification, request_error
from client.open_inference import OpenInference
from client.results import Classification, ImageFailure, Result, require_classification
from client.steps import RESTARTING, Rpc, Send, Steps, Work, once, past_a_restart, repeatable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.images import Image


class Conversation:
    """Classifies with CoordServe's own service where the server has it, else over the Open Inference Protocol.

    Which of the two is learned from the first answer and remembered. One conversation may be held by several threads:
    what it remembers is the same whoever learns it first.
    """

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._version = version
        self._open_inference = OpenInference(model, version)
        self._native: bool | None = None
        self._streams = True

    @property
    def settled(self) -> bool:
        """Whether the server's protocol is known, and what the model takes where that matters."""
        return bool(self._native) or self._open_inference.interface is not None

    def batch_size(self, concurrency: int) -> int:
        """How many images of bulk work go together, when `concurrency` may be on their way."""
        interface = self._open_inference.interface
        if self._native or interface is None:
            return 1
        return max(1, min(interface.max_batch_size, concurrency // 2))  # one half is computed, the other decoded

    def classify(self, image: Image, top_k: int, request_id: str = "", send: Send = once) -> Steps[Classification]:
        """Classifies one image.

        Args:
            image: Its encoded bytes, the path of its file, or a binary file object.
            top_k: How many classes to return.
            request_id: Any text of the caller's.
            send: How to ask our own service.

        Raises:
            ClientError: No classes, for the reason that the error's class tells.
        """
        name = file_name(image)
        if self._native is not False:
            image = yield from _read(image)  # once: a file object has nothing more to give
            try:
                return (yield from self._classify_native(image, name, top_k, request_id, send))
            except Unimplemented:
                if self._native:
                    raise
                self._native = False
        (result,) = yield from self._open_inference.classify([image], top_k, request_id)
        return replace(require_classification(result), file=name)

    def classify_batch(self, images: Sequence[Image], top_k: int) -> Steps[list[Result]]:
        """Classifies images of bulk work, as many as `batch_size` says; failures of images are results.

        Raises:
            ClientError: No image can be classified, for the reason that the error's class tells.
        """
        try:
            if self._native is False:
                return (yield from self._open_inference.classify(images, top_k, send=repeatable))
            (image,) = images
            return [(yield from self._classify_one_of_many(image, top_k))]
        except ClientError as error:
            if not error.concerns_one_image:
                raise
            return [ImageFailure(file_name(image), error) for image in images]

    def ping(self) -> Steps[None]:
        """Asks for any sign of life.

        Raises:
            ServerUnreachable: None came in time.
            RequestCancelled: The client is closed.
        """
        try:
            yield Rpc("ServerLive", service_pb2.ServerLiveRequest())
        except DeadlineExceeded as error:
            raise ServerUnreachable("no answer in time") from error
        except (ServerUnreachable, RequestCancelled):
            raise
        except ClientError:
            pass  # an answer, whatever it says

    def status(self) -> Steps[ServerStatus]:
        """Asks for the server's models and what they have done.

        Raises:
            ClientError: The server does not tell.
        """
        metadata = yield Rpc("ServerMetadata", service_pb2.ServerMetadataRequest())
        index = yield Rpc("RepositoryIndex", service_pb2.RepositoryIndexRequest())
        statistics = yield Rpc("ModelStatistics", service_pb2.ModelStatisticsRequest())
        return read_status(metadata, index, statistics)

    def _classify_one_of_many(self, image: Image, top_k: int) -> Steps[Classification]:
        """Takes the stream as soon as it is known that the server speaks our protocol."""
        if self._native:
            encoded = yield from _read(image)
            return (yield from self._classify_native(encoded, file_name(image), top_k, send=self._ask_in_stream))
        return (yield from self.classify(image, top_k, send=past_a_restart))

    def _classify_native(
        self, encoded: bytes, file: str | None, top_k: int, request_id: str = "", send: Send = once
    ) -> Steps[Classification]:
        request = classify_request(encoded, self._model, self._version, top_k, request_id)
        response = yield from send(Rpc("Classify", request))
        self._native = True
        return read_classification(response, file)

    def _ask_in_stream(self, rpc: Rpc) -> Steps[Any]:
        """Asks in the stream, and alone if that breaks: it may be another image that the server could not bear."""
        if self._streams:
            try:
                response = yield replace(rpc, method="ClassifyStream")
                if not isinstance(request_error(response), RESTARTING):
                    return response
            except DeadlineExceeded:
                raise
            except Unimplemented:
                self._streams = False
            except ClientError:
                pass
        return (yield from repeatable(rpc))


def _read(image: Image) -> Steps[bytes]:
    if isinstance(image, bytes):
        return image
    encoded: bytes = yield Work(partial(read_image, image))
    return encoded
