"""The account of every call: it is observed, given its status and counted, exactly once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc

from server.errors import DeadlineUnreachable, RequestCancelled, ServingError
from server.observed_request import current

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from server.observed_request import ObservedRequest
    from server.request_watch import RequestWatch

# A status travels in HTTP/2 headers, where a character takes up to twelve bytes and callers take 8 KiB. Texts quote
# names from requests.
_MOST_CHARACTERS = 600

# A caller gives up when its own clock says so, which may be a little before ours does.
_LATE_SECONDS = 0.05

_ENDLESS = "grpc.health.v1.Health/Watch"  # ends when its caller leaves, and no other way

Request = TypeVar("Request")
Response = TypeVar("Response")

Context = Any  # grpc.aio.ServicerContext; its class is generic for type checkers only


class RpcObserver(Protocol):
    """Counts the calls of one method."""

    def started(self) -> None:
        """A call has come."""

    def finished(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call has ended with `code`; each one that started ends exactly once."""

    def refused(self, reason: str) -> None:
        """A call failed for `reason`, one of the reasons in `server.errors`."""


class Accounts:
    """Opens the account of each method; `observe(type, service, method)` makes what counts its calls."""

    def __init__(self, observe: Callable[[str, str, str], RpcObserver], watch: RequestWatch) -> None:
        self._observe = observe
        self._watch = watch

    def open(self, rpc_type: str, service: str, method: str) -> Account:
        """The account of one method."""
        return Account(self._observe(rpc_type, service, method), self._watch, f"{service}/{method}")


class Account:
    """What becomes of the calls of one method ("service/method")."""

    def __init__(self, observer: RpcObserver, watch: RequestWatch, method: str) -> None:
        self._observer = observer
        self._watch = watch
        self._method = method

    async def settle(self, answer: Awaitable[Any], context: Context) -> Any:
        """Await `answer`, give the call its status and count it."""
        self._observer.started()
        started = time.perf_counter()
        request = self._watch.call(self._method, context.peer, context.invocation_metadata)
        failure: ServingError | None = None
        try:
            return await answer
        except ServingError as error:
            failure = error
        except asyncio.CancelledError:
            failure = _why_cancelled(context)
            raise
        except Exception as error:  # noqa: BLE001 - a bug, which is logged; the caller is told that there is one
            self._watch.broke(request, error)
            failure = ServingError("internal error")
        finally:
            self._close(request, failure, time.perf_counter() - started)
        code, text = failure.code, str(failure)[:_MOST_CHARACTERS]
        del failure  # its trace knows this frame, and both would keep the message until the garbage collector comes by
        with caller_may_have_left():
            return await context.abort(code, text)

    def _close(self, request: ObservedRequest, failure: ServingError | None, seconds: float) -> None:
        if failure:
            request.code = failure.code.name
            self.failed(request, failure)
        self._watch.ended(request)
        self._observer.finished(failure.code if failure else grpc.StatusCode.OK, seconds)

    def failed(self, request: ObservedRequest, error: ServingError) -> None:
        """Count a call, or a part of one, that failed."""
        if self._method == _ENDLESS and isinstance(error, RequestCancelled | DeadlineUnreachable):
            return  # its caller has got all that it wanted
        self._observer.refused(error.reason)
        self._watch.failed(request, error)

    @contextlib.contextmanager
    def message(self, stream: ObservedRequest) -> Iterator[None]:
        """Around the answer to one message of a stream, which is a request of its own."""
        request = self._watch.message(stream)
        try:
            yield
        except ServingError as error:  # it ends the stream, whose call counts it
            request.code = error.code.name
            self._watch.failed(request, error)
            raise
        except asyncio.CancelledError:
            request.code = RequestCancelled.code.name
            self._watch.failed(request, RequestCancelled("its stream has ended"))
            raise
        except Exception:  # a bug, likewise
            request.code = ServingError.code.name
            self._watch.failed(request, ServingError("internal error"))
            raise
        finally:
            self._watch.ended(request)


class Call:
    """What a servicer may know of the call it answers, and tell of it."""

    __slots__ = ("_account", "deadline")

    def __init__(self, context: Context, account: Account) -> None:
        self._account = account
        remaining = context.time_remaining()
        # A monotonic instant in seconds: gRPC's own figure moves with the wall clock.
        self.deadline = math.inf if remaining is None else time.monotonic() + remaining

    def failed(self, error: ServingError) -> None:
        """Tell of a message of a stream that failed, of which the call goes on."""
        request = current()
        request.code = error.code.name
        self._account.failed(request, error)

    def part_failed(self, error: ServingError) -> None:
        """Tell of an image that failed, of a request that is answered all the same."""
        self._account.failed(current(), error)

    def each(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """`answer` to the messages of a stream, of which each is a request of its own, in a task of its own."""
        stream = current()

        async def observed(message: Request) -> Response:
            with self._account.message(stream):
                return await answer(message)

        return observed


def is_news(record: logging.LogRecord) -> bool:
    """Filter gRPC's log: that a caller was not there any more when a call ended is nobody's error."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


@contextlib.contextmanager
def caller_may_have_left() -> Iterator[None]:
    """Take that nothing can be sent any more for what it means, since gRPC may tell us that only later."""
    try:
        yield
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error


def _why_cancelled(context: Context) -> ServingError:
    remaining = context.time_remaining()
    late = remaining is not None and remaining <= _LATE_SECONDS
    return DeadlineUnreachable("the deadline has passed") if late else RequestCancelled("the caller left")
