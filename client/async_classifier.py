"""The client for programs that run in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

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
from client.async_connection import AsyncConnection
from client.conversation import Conversation
from client.ordered import map_in_order_async
from client.results import require_classification

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import grpc

    from client.images import Image
    from client.model_status import ServerStatus
    from client.results import Classification, Result

ItemT = TypeVar("ItemT")


class AsyncClassifier:
    """As `client.Classifier`, for one event loop; any number of tasks may share one.

    Files are read and images decoded in threads, so that the loop goes on. Cancelling a task that waits for an answer
    cancels its call on the server.

    Example:
        >>> async with AsyncClassifier("127.0.0.1:8001", model="ca_mobilenetv2") as classifier:
        ...     async for result in classifier.classify_many(Path("photos").iterdir()):
        ...         print(result)
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
        """Sets up the connection, in a running event loop; the arguments are those of `client.Classifier`."""
        check_positive(timeout_seconds=timeout_seconds)
        self._connection = AsyncConnection(url, credentials, channel_options)
        self._conversation = Conversation(model, version)
        self._timeout_seconds = timeout_seconds
        self._tasks: set[asyncio.Task[list[Result]]] = set()

    async def classify(
        self,
        image: Image,
        top_k: int = DEFAULT_TOP_K,
        timeout_seconds: float | None = None,
        request_id: str = "",
    ) -> Classification:
        """Classifies one image; arguments and errors as in `client.Classifier.classify`."""
        check_count(top_k=top_k)
        steps = self._conversation.classify(image, top_k, request_id)
        return await self._connection.carry_out(steps, chosen_timeout(timeout_seconds, self._timeout_seconds))

    @overload
    def classify_many(
        self,
        images: Iterable[Image] | AsyncIterable[Image],
        top_k: int = ...,
        timeout_seconds: float | None = ...,
        concurrency: int = ...,
        on_error: Literal["return"] = ...,
    ) -> AsyncGenerator[Result, None]: ...
    @overload
    def classify_many(
        self,
        images: Iterable[Image] | AsyncIterable[Image],
        top_k: int = ...,
        timeout_seconds: float | None = ...,
        concurrency: int = ...,
        *,
        on_error: Literal["raise"],
    ) -> AsyncGenerator[Classification, None]: ...
    def classify_many(
        self,
        images: Iterable[Image] | AsyncIterable[Image],
        top_k: int = DEFAULT_TOP_K,
        timeout_seconds: float | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        on_error: OnError = "return",
    ) -> AsyncGenerator[Result, None]:
        """Classifies any number of images and yields one result for each, in their order.

        Arguments and errors as in `client.Classifier.classify_many`, except that `images` may be asynchronous, is
        advanced while results are awaited, and no result waits for the image after it. Who leaves the loop early stops
        the work at once with `contextlib.aclosing`; otherwise it stops with the client.
        """
        check_count(top_k=top_k, concurrency=concurrency)
        check_on_error(on_error)
        timeout_seconds = chosen_timeout(timeout_seconds, self._timeout_seconds)
        results = self._each_result(images, top_k, timeout_seconds, concurrency)
        return results if on_error == "return" else _raising(results)

    async def ping(self, timeout_seconds: float | None = None) -> None:
        """Returns when the server gives a sign of life.

        Raises:
            ServerUnreachable: It gives none in time.
        """
        await self._connection.carry_out(
            self._conversation.ping(), chosen_timeout(timeout_seconds, self._timeout_seconds)
        )

    async def status(self, timeout_seconds: float | None = None) -> ServerStatus:
        """Asks for the server's models and what they have done.

        Raises:
            ClientError: The server cannot be reached or does not tell.
        """
        timeout_seconds = chosen_timeout(timeout_seconds, self._timeout_seconds)
        return await self._connection.carry_out(self._conversation.status(), timeout_seconds)

    async def close(self) -> None:
        """Gives up what is under way and closes the connection."""
        await self._connection.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _each_result(
        self, images: Iterable[Image] | AsyncIterable[Image], top_k: int, timeout_seconds: float, concurrency: int
    ) -> AsyncGenerator[Result, None]:
        conversation = self._conversation
        stream = self._connection.open_stream()

        def classify(batch: list[Image]) -> asyncio.Task[list[Result]]:
            steps = conversation.classify_batch(batch, top_k)
            task = asyncio.create_task(self._connection.carry_out(steps, timeout_seconds, stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return task

        source = _each(images)
        try:
            if not conversation.settled:
                async for image in source:
                    for result in await classify([image]):
                        yield result
                    if conversation.settled:
                        break
            size = conversation.batch_size(concurrency)
            async with aclosing(map_in_order_async(classify, source, size, concurrency // size)) as results:
                async for result in results:
                    yield result
        finally:
            await stream.close()


async def _raising(results: AsyncGenerator[Result, None]) -> AsyncGenerator[Classification, None]:
    async with aclosing(results):
        async for result in results:
            yield require_classification(result)


async def _each(images: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncIterator[ItemT]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image
