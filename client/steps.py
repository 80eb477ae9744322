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

from client.errors import DeadlineExceeded, ModelLoading, RequestCancelled, ServerStopping, ServerUnreachable

RESTARTING = (ServerStopping, ModelLoading)
_RESTART_SECONDS = 0.1  # between two questions to a server that ends, or begins


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


def past_a_restart(rpc: Rpc) -> Steps[Any]:
    """Sends `rpc`, and again while the server says that it is about to end, or still loads the model.

    Raises:
        ServerStopping: No other server came in time.
        ModelLoading: The model was not loaded in time.
        ClientError: Any other failure of the call.
    """
    try:
        return (yield rpc)
    except RESTARTING as error:
        restarting = error
    while True:
        yield Work(partial(time.sleep, _RESTART_SECONDS))
        try:
            return (yield replace(rpc, wait_for_ready=True))
        except RESTARTING as error:
            restarting = error
        except DeadlineExceeded:
            raise restarting from None


def repeatable(rpc: Rpc) -> Steps[Any]:
    """Sends `rpc` as `past_a_restart`, and once more when the connection broke under it.

    Classifying an image twice harms nobody. The second time waits for a server to come back, up to the deadline.

    Raises:
        ServerUnreachable: The connection broke and did not come back in time.
        ServerStopping: No other server came in time.
        ModelLoading: The model was not loaded in time.
        ClientError: Any other failure of the call.
    """
    again = replace(rpc, wait_for_ready=True)
    try:
        return (yield from past_a_restart(rpc))
    except ServerUnreachable as broken:
        try:
            return (yield from past_a_restart(again))
        except DeadlineExceeded:
            raise broken from None
    except RequestCancelled:
        return (yield from past_a_restart(again))
