"""Between gRPC and the servicers: every call is parsed, counted, timed and given its status in this one place.

A servicer is a class with one coroutine for each method that it serves, `async def Method(self, request, call)`; a
method with streams takes an asynchronous iterator of requests and returns an asynchronous generator of responses. It
raises `ServingError` for what goes wrong. Methods that it lacks are answered UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from server.errors import DeadlineUnreachable, InvalidRequest, RequestCancelled, ServingError, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from server.services.intake import Intake

logger = logging.getLogger(__name__)

# A status travels in HTTP/2 headers, where a character takes up to twelve bytes and callers take 8 KiB. Texts quote
# names from requests.
_MOST_CHARACTERS = 600

# A caller gives up when its own clock says so, which may be a little before ours does.
_LATE_SECONDS = 0.05

Context = Any  # grpc.aio.ServicerContext; its class is generic for type checkers only


class RpcObserver(Protocol):
    """Counts the calls of one method."""

    def started(self) -> None:
        """A call has come."""

    def finished(self, code: grpc.StatusCode, seconds: float) -> None:
        """A call has ended with `code`; each one that started ends exactly once."""

    def refused(self, reason: str) -> None:
        """A call failed for `reason`, one of the reasons in `server.errors`."""


class Call:
    """What a servicer may know of the call it answers."""

    __slots__ = ("deadline", "refused")

    def __init__(self, context: Context, observer: RpcObserver) -> None:
        self.refused = observer.refused  # for a part of the call that fails while the call goes on
        remaining = context.time_remaining()
        # A monotonic instant in seconds: gRPC's own figure moves with the wall clock.
        self.deadline = math.inf if remaining is None else time.monotonic() + remaining


def service_handler(
    descriptor: Any,
    servicer: Any,
    observe: Callable[[str, str, str], RpcObserver],
    intake: Intake,
    parsers: Mapping[str, Callable[[bytes], Any]] | None = None,
) -> grpc.GenericRpcHandler[Any, Any]:
    """The handler of a whole service, from its descriptor and the `servicer` that answers it.

    `observe(type, service, method)` makes a method's observer. Calls come in through `intake`. `parsers` replace
    protobuf's parsing for the methods they name.
    """
    handlers = {}
    for method in descriptor.methods:
        parse = (parsers or {}).get(method.name, GetMessageClass(method.input_type).FromString)
        serialize = GetMessageClass(method.output_type).SerializeToString
        streams = method.client_streaming or method.server_streaming
        behaviour = getattr(servicer, method.name, None) or _unimplemented(method.name, streams=streams)
        observer = observe(_rpc_type(method), descriptor.full_name, method.name)
        if streams:
            handlers[method.name] = stream_handler(behaviour, parse, serialize, observer, intake)
        else:
            handlers[method.name] = _unary_handler(behaviour, parse, serialize, observer, intake)
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


def _rpc_type(method: Any) -> str:
    """The ecosystem's word for what streams."""
    if method.client_streaming:
        return "bidi_stream" if method.server_streaming else "client_stream"
    return "server_stream" if method.server_streaming else "unary"


def _unary_handler(
    behaviour: Callable[[Any, Call], Awaitable[Any]],
    parse: Callable[[bytes], Any],
    serialize: Callable[[Any], bytes],
    observer: RpcObserver,
    intake: Intake,
) -> Any:
    async def answer(message: bytes, context: Context) -> Any:
        with intake:
            return await behaviour(_parsed(parse, message), Call(context, observer))

    async def handle(message: bytes, context: Context) -> Any:
        return await _accounted(answer(message, context), context, observer)

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=serialize)


def stream_handler(
    behaviour: Callable[[AsyncIterator[Any], Call], AsyncGenerator[Any, None]],
    parse: Callable[[bytes], Any],
    serialize: Callable[[Any], bytes],
    observer: RpcObserver,
    intake: Intake,
) -> Any:
    """A handler for a method with streams; one message and a stream of one are the same on the wire."""

    async def answer(messages: AsyncIterator[bytes], context: Context) -> None:
        requests = _parsed_all(parse, intake.read(messages))
        with intake:
            async with contextlib.aclosing(behaviour(requests, Call(context, observer))) as responses:
                async for response in responses:
                    with _caller_may_have_left():
                        await context.write(response)

    async def handle(messages: AsyncIterator[bytes], context: Context) -> None:
        await _accounted(answer(messages, context), context, observer)

    return grpc.stream_stream_rpc_method_handler(handle, response_serializer=serialize)


def is_news(record: logging.LogRecord) -> bool:
    """Filter gRPC's log: that a caller was not there any more when a call ended is nobody's error."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


@contextlib.contextmanager
def _caller_may_have_left() -> Iterator[None]:
    """Take that nothing can be sent any more for what it means, since gRPC may tell us that only later."""
    try:
        yield
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error


async def _accounted(answer: Awaitable[Any], context: Context, observer: RpcObserver) -> Any:
    """Await `answer`, give the call its status and count it, whatever happens."""
    observer.started()
    started = time.perf_counter()
    code = grpc.StatusCode.OK
    try:
        return await answer
    except ServingError as error:
        failure = error
        code = error.code
    except asyncio.CancelledError:
        gone = _why_cancelled(context)
        code = gone.code
        observer.refused(gone.reason)
        raise
    except Exception:
        logger.exception("a call failed in a way that nobody thought of")
        failure = ServingError("internal error")
        code = failure.code
    finally:
        observer.finished(code, time.perf_counter() - started)
    observer.refused(failure.reason)
    with _caller_may_have_left():
        return await context.abort(code, str(failure)[:_MOST_CHARACTERS])


def _why_cancelled(context: Context) -> type[ServingError]:
    remaining = context.time_remaining()
    late = remaining is not None and remaining <= _LATE_SECONDS
    return DeadlineUnreachable if late else RequestCancelled


async def _parsed_all(parse: Callable[[bytes], Any], messages: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for message in messages:
        yield _parsed(parse, message)


def _parsed(parse: Callable[[bytes], Any], message: bytes) -> Any:
    try:
        return parse(message)
    except DecodeError as error:
        raise InvalidRequest("Unable to parse request") from error


def _unimplemented(name: str, *, streams: bool) -> Callable[[Any, Call], Any]:
    async def unary(_request: Any, _call: Call) -> Any:
        raise Unsupported(f"{name} is not implemented by this server")

    async def stream(_requests: AsyncIterator[Any], _call: Call) -> AsyncGenerator[Any, None]:
        raise Unsupported(f"{name} is not implemented by this server")
        yield  # makes it a generator

    return stream if streams else unary
