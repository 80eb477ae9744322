"""Carries out a conversation's steps in an event loop."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from client.async_stream import AsyncStream
from client.channel import OPTIONS, methods
from client.errors import RequestCancelled, from_rpc_error
from client.steps import Step, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.steps import Steps

ValueT = TypeVar("ValueT")


class AsyncConnection:
    """A channel to a server, for one event loop; any number of tasks may share one."""

    def __init__(
        self, url: str, credentials: grpc.ChannelCredentials | None, channel_options: Sequence[tuple[str, Any]]
    ) -> None:
        options = [*OPTIONS, *channel_options]
        self._channel = (
            grpc.aio.secure_channel(url, credentials, options)
            if credentials
            else grpc.aio.insecure_channel(url, options)
        )
        self._methods = methods(self._channel)
        self._closed = False

    def open_stream(self) -> AsyncStream:
        """Returns a stream for one piece of bulk work."""
        return AsyncStream(self._methods["ClassifyStream"])

    async def carry_out(
        self, steps: Steps[ValueT], timeout_seconds: float, stream: AsyncStream | None = None
    ) -> ValueT:
        """Takes the steps one by one until the conversation has its result.

        Args:
            steps: The conversation.
            timeout_seconds: For all steps together.
            stream: Where `ClassifyStream` goes, for conversations that use it.

        Raises:
            ClientError: What the conversation ends with.
        """
        deadline = time.monotonic() + timeout_seconds
        advance = partial(next, steps)
        while True:
            try:
                step = advance()
            except StopIteration as done:
                value: ValueT = done.value
                return value
            try:
                advance = partial(steps.send, await self._take(step, deadline - time.monotonic(), stream))
            except grpc.RpcError as error:
                advance = partial(steps.throw, from_rpc_error(error))
            except asyncio.CancelledError:
                if not self._closed or _is_being_cancelled():
                    raise
                advance = partial(steps.throw, RequestCancelled("the client is closed"))
            except Exception as error:  # noqa: BLE001 - the conversation decides what it means
                # gRPC's own exception for the use of a closed channel is a bare ValueError or UsageError.
                advance = partial(steps.throw, RequestCancelled("the client is closed") if self._closed else error)

    async def close(self) -> None:
        """Gives up every call and closes the channel."""
        self._closed = True
        await self._channel.close(None)

    async def _take(self, step: Step, timeout_seconds: float, stream: AsyncStream | None) -> Any:
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        if stream and step.method == "ClassifyStream":
            return await stream.ask(step.request, timeout_seconds)
        call = self._methods[step.method]
        return await call(step.request, timeout=timeout_seconds, wait_for_ready=step.wait_for_ready)


def _is_being_cancelled() -> bool:
    """Tell whether it is the task that somebody cancelled, and not what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
