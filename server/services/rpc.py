"""Between gRPC and the servicers: every call is parsed, counted, timed and given its status in this one place.

A servicer is a class with one coroutine for each method that it serves, `async def Method(self, request, call)`; a
method with streams takes an asynchronous iterator of requests and returns an asynchronous generator of responses. It
raises `ServingError` for what goes wrong. Methods that it lacks are answered UNIMPLEMENTED.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from server.errors import InvalidRequest, MessageTooLarge, Unsupported
from server.services.accounting import Call, caller_may_have_left
from server.services.window import Window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from server.services.accounting import Account, Accounts, Context
    from server.services.intake import Intake

_MOST_SMALL_BYTES = 1 << 20


def service_handler(
    descriptor: Any,
    servicer: Any,
    accounts: Accounts,
    intake: Intake,
    parsers: Mapping[str, Callable[[bytes], Any]] | None = None,
) -> grpc.GenericRpcHandler[Any, Any]:
    """The handler of a whole service, from its descriptor and the `servicer` that answers it.

    Calls come in through `intake`. `parsers` replace protobuf's parsing for the methods they name; other messages are
    small, or refused before protobuf makes objects of them on the event loop.
    """
    handlers = {}
    for method in descriptor.methods:
        parse = (parsers or {}).get(method.name) or _small(GetMessageClass(method.input_type).FromString)
        serialize = GetMessageClass(method.output_type).SerializeToString
        streams = method.client_streaming or method.server_streaming
        behaviour = getattr(servicer, method.name, None) or _unimplemented(method.name, streams=streams)
        account = accounts.open(_rpc_type(method), descriptor.full_name, method.name)
        if streams:
            handlers[method.name] = stream_handler(behaviour, parse, serialize, account, intake)
        else:
            handlers[method.name] = _unary_handler(behaviour, parse, serialize, account, intake)
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
    account: Account,
    intake: Intake,
) -> Any:
    async def answer(message: bytes, context: Context) -> Any:
        with intake, intake.holding(intake.checked(message)):
            return await behaviour(_parsed(parse, message), Call(context, account))

    async def handle(message: bytes, context: Context) -> Any:
        return await account.settle(answer(message, context), context)

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=serialize)


def stream_handler(
    behaviour: Callable[[AsyncIterator[Any], Call], AsyncGenerator[Any, None]],
    parse: Callable[[bytes], Any],
    serialize: Callable[[Any], bytes],
    account: Account,
    intake: Intake,
) -> Any:
    """A handler for a method with streams; one message and a stream of one are the same on the wire."""

    async def answer(messages: AsyncIterator[bytes], context: Context) -> None:
        window = Window(intake.most_bytes)
        requests = _parsed_all(parse, intake.read(messages), window)
        with intake:
            async with contextlib.aclosing(behaviour(requests, Call(context, account))) as responses:
                async for response in responses:
                    with caller_may_have_left():
                        await context.write(response)
                    window.answered()

    async def handle(messages: AsyncIterator[bytes], context: Context) -> None:
        await account.settle(answer(messages, context), context)

    return grpc.stream_stream_rpc_method_handler(handle, response_serializer=serialize)


async def _parsed_all(
    parse: Callable[[bytes], Any], messages: AsyncIterator[bytes], window: Window
) -> AsyncIterator[Any]:
    async for message in messages:
        window.read(message)
        yield _parsed(parse, message)
        await window.room()


def _small(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse_if_small(message: bytes) -> Any:
        if len(message) > _MOST_SMALL_BYTES:
            raise MessageTooLarge(
                f"this method takes messages of at most {_MOST_SMALL_BYTES} bytes, and this one has {len(message)}"
            )
        return parse(message)

    return parse_if_small


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
