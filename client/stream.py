"""One `ClassifyStream` for many threads: each asks and waits for its own answer."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from queue import SimpleQueue
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
    from collections.abc import Callable

    from proto.classifier_pb2 import ClassifyRequest, ClassifyResponse


_GOODBYE_SECONDS = 1.0  # for the server to end a stream after its last answer


class Stream:
    """Opened when it is first needed, and again after it broke; safe to use from any thread.

    A stream has no deadline of its own, since it may go on for ever. Each question has one instead; when it passes,
    the call is given up, because an answer that is stuck holds up all that follow it.
    """

    def __init__(self, open_call: Callable[..., Any]) -> None:
        self._open_call = open_call
        self._lock = threading.Lock()
        self._call: _Call | None = None
        self._closed = False

    def ask(self, request: ClassifyRequest, timeout_seconds: float) -> ClassifyResponse:
        """Sends `request` and waits for its answer.

        Raises:
            DeadlineExceeded: The answer did not come in time.
            RequestCancelled: Another question's deadline, or `close`, ended the call.
            ClientError: The call failed.
        """
        if timeout_seconds <= 0:  # nothing has been sent that others would have to wait for
            raise DeadlineExceeded("the deadline passed before the request was sent")
        with self._lock:
            self.check_open()
            if self._call is None or self._call.ended:
                self._call = _Call(self._open_call)
            call = self._call
            answer = call.send(request)
        try:
            return answer.result(timeout_seconds)
        except FutureTimeoutError:
            call.cancel()
            raise DeadlineExceeded("the answer did not come in time") from None

    def check_open(self) -> None:
        """Raises RequestCancelled after `close`, so that threads that are left behind ask nothing more."""
        if self._closed:
            raise RequestCancelled("nobody waits for the result any more")

    def close(self) -> None:
        """Gives up what is unanswered."""
        with self._lock:
            self._closed = True
            if self._call:
                self._call.close()


class _Call:
    """One call of the stream, with a thread that hands each response to the question it answers."""

    def __init__(self, open_call: Callable[..., Any]) -> None:
        self._requests: SimpleQueue[ClassifyRequest | None] = SimpleQueue()
        self._answers: deque[Future[ClassifyResponse]] = deque()
        self._lock = threading.Lock()
        self._error: ClientError | None = None
        self._call = open_call(iter(self._requests.get, None))
        self._call.add_done_callback(self._done)
        self._reader = threading.Thread(target=self._read, name="classify-stream", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        return self._error is not None

    def send(self, request: ClassifyRequest) -> Future[ClassifyResponse]:
        answer: Future[ClassifyResponse] = Future()
        with self._lock:
            if self._error:
                answer.set_exception(self._error)
            else:
                self._answers.append(answer)
                self._requests.put(request)
        return answer

    def cancel(self) -> None:
        self._call.cancel()

    def close(self) -> None:
        """Ends the call well when all is answered: a cancelled call is one that the server counts as failed."""
        with self._lock:
            unanswered = bool(self._answers)
        if not unanswered:
            self._requests.put(None)
            self._reader.join(_GOODBYE_SECONDS)
        self._call.cancel()  # does nothing to a call that has ended

    def _read(self) -> None:
        try:
            for response in self._call:
                self._answers.popleft().set_result(response)
            self._end(ServerUnreachable("the server ended the stream"))
        except grpc.RpcError as error:
            self._end(from_rpc_error(error))
        except IndexError:
            self._call.cancel()
            self._end(ServerError("the server answered more requests than there were"))

    def _done(self, call: Any) -> None:
        """A connection may break in such a way that gRPC tells the status, and never ends the reading."""
        if call.code() is not grpc.StatusCode.OK:
            self._end(from_rpc_error(call))

    def _end(self, error: ClientError) -> None:
        with self._lock:
            if self._error:
                return
            self._error = error
            self._requests.put(None)  # lets go of the thread in which gRPC reads the requests
            while self._answers:
                self._answers.popleft().set_exception(error)
