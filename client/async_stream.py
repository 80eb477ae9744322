"""One `ClassifyStream` for many tasks: each asks and waits for its own answer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from client.errors import (
    ClientError,
    DeadlineExceeded,
    RequestCancelled,
    ServerError,
    ServerUnreachable,
    from_rpc_error,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from proto.classifier_pb2 import ClassifyRequest, ClassifyResponse


_GOODBYE_SECONDS = 1.0  # for the server to end a stream after its last answer


class AsyncStream:
    """Opened when it is first needed, and again after it broke.

    A stream has no deadline of its own, since it may go on for ever. Each question has one instead; when it passes,
    the call is given up, because an answer that is stuck holds up all that follow it.
    """

    def __init__(self, open_call: Callable[..., Any]) -> None:
        self._open_call = open_call
        self._call: _Call | None = None

    async def ask(self, request: ClassifyRequest, timeout_seconds: float) -> ClassifyResponse:
        """Sends `request` and waits for its answer.

        Raises:
            DeadlineExceeded: The answer did not come in time.
            RequestCancelled: Another question's deadline ended the call.
            ClientError: The call failed.
        """
        if timeout_seconds <= 0:  # nothing has been sent that others would have to wait for
            raise DeadlineExceeded("the deadline passed before the request was sent")
        if self._call is None or self._call.ended:
            self._call = _Call(self._open_call)
        call = self._call
        try:
            return await asyncio.wait_for(call.send(request), timeout_seconds)
        except TimeoutError:
            call.cancel()
            raise DeadlineExceeded("the answer did not come in time") from None

    async def close(self) -> None:
        """Gives up what is unanswered."""
        if self._call:
            await self._call.close()


class _Call:
    """One call of the stream, with a task that hands each response to the question it answers."""

    def __init__(self, open_call: Callable[..., Any]) -> None:
        self._requests: asyncio.Queue[ClassifyRequest | None] = asyncio.Queue()
        self._answers: deque[asyncio.Future[ClassifyResponse]] = deque()
        self._error: ClientError | None = None
        self._call = open_call(self._each_request())
        self.reader = asyncio.create_task(self._read(), name="classify-stream")

    @property
    def ended(self) -> bool:
        return self._error is not None

    def send(self, request: ClassifyRequest) -> asyncio.Future[ClassifyResponse]:
        answer: asyncio.Future[ClassifyResponse] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._requests.put_nowait(request)
        return answer

    def cancel(self) -> None:
        self._call.cancel()

    async def close(self) -> None:
        """Ends the call well when all is answered: a cancelled call is one that the server counts as failed."""
        if not self._answers:
            self._requests.put_nowait(None)
            await asyncio.wait({self.reader}, timeout=_GOODBYE_SECONDS)
        self._call.cancel()  # does nothing to a call that has ended
        await self.reader

    async def _each_request(self) -> AsyncIterator[ClassifyRequest]:
        while request := await self._requests.get():
            yield request

    async def _read(self) -> None:
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # not in the stubs
                answer = self._answers.popleft()
                if not answer.done():
                    answer.set_result(response)
            self._end(ServerUnreachable("the server ended the stream"))
        except grpc.RpcError as error:
            self._end(from_rpc_error(error))
        except IndexError:
            self._call.cancel()
            self._end(ServerError("the server answered more requests than there were"))
        except asyncio.CancelledError:  # gRPC's way to say that `cancel` was called
            self._end(RequestCancelled("the call was given up"))

    def _end(self, error: ClientError) -> None:
        self._error = error
        self._requests.put_nowait(None)  # lets go of the task in which gRPC reads the requests
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(error)
