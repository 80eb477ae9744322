"""A conversation with a server as a sequence of steps that somebody else carries out.

What the client says is the same whether it waits in a thread or in an event loop. So it is written once, as generators
that yield what they need done (an `Rpc` or a piece of `Work`), receive the result or the exception, and return what
the conversation was for. `client.classifier` and `client.async_classifier` carry the steps out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from client.errors import DeadlineExceeded, RequestCancelled, ServerStopping, ServerUnreachable

_STOPPING_SECONDS = 0.1  # between two questions to a server that is about to end


@dataclass(frozen=True, slots=True)
class Rpc:
    """One request and its response.

    Attributes:
        method: Name of the method; see `client.channel`.
        request: The request's message.
        wait_for_ready: Whether to wait for a connection until the deadline instead of failing at once without one.
    """

    method: str
    request: Any
    wait_for_ready: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """Something that takes a while without the network: reading a file, decoding an image."""

    function: Callable[[], Any]


Step: TypeAlias = Rpc | Work
ResultT = TypeVar("ResultT")
Steps: TypeAlias = Generator[Step, Any, ResultT]


Send: TypeAlias = Callable[[Rpc], Steps[Any]]


def once(rpc: Rpc) -> Steps[Any]:
    """Sends `rpc`; its failure is final."""
    return (yield rpc)


def repeatable(rpc: Rpc) -> Steps[Any]:
    """Sends `rpc`, and once more when the connection broke under it: classifying an image twice harms nobody.

    The second time waits for a server that is being restarted, up to the deadline. A server that says that it is
    stopping has not begun, and is asked until another one has taken its place.

    Raises:
        ServerUnreachable: The connection broke and did not come back in time.
        ServerStopping: No other server came in time.
        ClientError: Any other failure of the call.
    """
    again = replace(rpc, wait_for_ready=True)
    try:
        return (yield from _past_stopping(rpc))
    except ServerUnreachable as broken:
        try:
            return (yield from _past_stopping(again))
        except DeadlineExceeded:
            raise broken from None
    except RequestCancelled:
        return (yield from _past_stopping(again))


def _past_stopping(rpc: Rpc) -> Steps[Any]:
    try:
        return (yield rpc)
    except ServerStopping as stopping:
        while True:
            yield Work(partial(time.sleep, _STOPPING_SECONDS))
            try:
                return (yield replace(rpc, wait_for_ready=True))
            except ServerStopping:
                continue
            except DeadlineExceeded:
                raise stopping from None
