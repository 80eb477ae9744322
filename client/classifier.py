"""The client for programs that wait in threads."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from client.arguments import (
    DEFAULT_CONCURRENCY,
    DEFAULT_TIMEOUT_SECONDS,
    DEFAULT_TOP_K,
    OnError,
    check_count,
    check_on_error,
    check_positive,
    chosen_timeout,
)
from client.connection import Connection
from client.conversation import Conversation
from client.ordered import map_in_order
from client.results import require_classification

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from types import TracebackType

    import grpc

    from client.images import Image
    from client.model_status import ServerStatus
    from client.results import Classification, Result


class Classifier:
    """Classifies images on a CoordServe or Triton server; any number of threads may share one.

    A CoordServe server gets the images as they are. A server without its `Classifier` service (Triton) is recognised by
    its first answer; from then on images are decoded and cropped here, to what the server says that the model takes.

    Example:
        >>> with Classifier("127.0.0.1:8001", model="ca_mobilenetv2") as classifier:
        ...     print(classifier.classify("cat.jpg").best.label)
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        version: str = "",
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        credentials: grpc.ChannelCredentials | None = None,
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Sets up the connection, which is made when the first call needs it.

        Args:
            url: The server's gRPC address, as `host:port`.
            model: Name of the model; may be empty when the server has only one.
            version: Version of the model; empty means the latest one that is ready.
            timeout_seconds: Deadline of each call that names none.
            credentials: For a server that speaks TLS, or wants to know who calls.
            channel_options: More options for gRPC's channel; they win over the client's own.
        """
        check_positive(timeout_seconds=timeout_seconds)
        self._connection = Connection(url, credentials, channel_options)
        self._conversation = Conversation(model, version)
        self._timeout_seconds = timeout_seconds

    def classify(
        self,
        image: Image,
        top_k: int = DEFAULT_TOP_K,
        timeout_seconds: float | None = None,
        request_id: str = "",
    ) -> Classification:
        """Classifies one image.

        Args:
            image: Its encoded bytes, the path of its file, or a binary file object.
            top_k: How many classes to return, most probable first.
            timeout_seconds: Deadline of the call; None takes the client's.
            request_id: Any text of the caller's, for the server's log.

        Raises:
            ClientError: No classes, for the reason that the error's class tells.
        """
        check_count(top_k=top_k)
        steps = self._conversation.classify(image, top_k, request_id)
        return self._connection.carry_out(steps, chosen_timeout(timeout_seconds, self._timeout_seconds))

    @overload
    def classify_many(
        self,
        images: Iterable[Image],
        top_k: int = ...,
        timeout_seconds: float | None = ...,
        concurrency: int = ...,
        on_error: Literal["return"] = ...,
    ) -> Generator[Result, None, None]: ...
    @overload
    def classify_many(
        self,
        images: Iterable[Image],
        top_k: int = ...,
        timeout_seconds: float | None = ...,
        concurrency: int = ...,
        *,
        on_error: Literal["raise"],
    ) -> Generator[Classification, None, None]: ...
    def classify_many(
        self,
        images: Iterable[Image],
        top_k: int = DEFAULT_TOP_K,
        timeout_seconds: float | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        on_error: OnError = "return",
    ) -> Generator[Result, None, None]:
        """Classifies any number of images and yields one result for each, in their order.

        At most `concurrency` images are held at a time, so `images` may be endless. It is advanced in the caller's
        thread, when a result is asked for. A connection that breaks is made again, and what was on its way is sent
        again, for as long as an image's deadline allows.

        Args:
            images: As for `classify`.
            top_k: How many classes to return for each image.
            timeout_seconds: Deadline of each image, from when it is sent; None takes the client's.
            concurrency: Most images on their way.
            on_error: What becomes of an image that fails: `return` yields an `ImageFailure` in its place, `raise`
                raises its error.

        Raises:
            ClientError: No further image can be classified: the server cannot be reached, the model is not there.
        """
        check_count(top_k=top_k, concurrency=concurrency)
        check_on_error(on_error)
        results = self._each_result(images, top_k, chosen_timeout(timeout_seconds, self._timeout_seconds), concurrency)
        return results if on_error == "return" else _raising(results)

    def ping(self, timeout_seconds: float | None = None) -> None:
        """Returns when the server gives a sign of life.

        Raises:
            ServerUnreachable: It gives none in time.
        """
        self._connection.carry_out(self._conversation.ping(), chosen_timeout(timeout_seconds, self._timeout_seconds))

    def status(self, timeout_seconds: float | None = None) -> ServerStatus:
        """Asks for the server's models and what they have done.

        Raises:
            ClientError: The server cannot be reached or does not tell.
        """
        return self._connection.carry_out(
            self._conversation.status(), chosen_timeout(timeout_seconds, self._timeout_seconds)
        )

    def close(self) -> None:
        """Gives up what is under way and closes the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _each_result(
        self, images: Iterable[Image], top_k: int, timeout_seconds: float, concurrency: int
    ) -> Generator[Result, None, None]:
        conversation = self._conversation
        stream = self._connection.open_stream()

        def classify(batch: list[Image]) -> list[Result]:
            return self._connection.carry_out(conversation.classify_batch(batch, top_k), timeout_seconds, stream)

        source = iter(images)
        try:
            if not conversation.settled:
                for image in source:
                    yield from classify([image])
                    if conversation.settled:
                        break
            size = conversation.batch_size(concurrency)
            yield from map_in_order(classify, source, size, concurrency // size)
        finally:
            stream.close()


def _raising(results: Generator[Result, None, None]) -> Generator[Classification, None, None]:
    with closing(results):
        yield from map(require_classification, results)


def status(
    url: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS, credentials: grpc.ChannelCredentials | None = None
) -> ServerStatus:
    """Asks the server at `url` (`host:port`) for its models and what they have done.

    Raises:
        ClientError: The server cannot be reached or does not tell.
    """
    with Classifier(url, timeout_seconds=timeout_seconds, credentials=credentials) as classifier:
        return classifier.status()
