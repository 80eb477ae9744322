"""Every way in which a classification can fail, and the one place where gRPC's codes become these errors.

    ClientError
    ├── ServerUnreachable    nobody answers at this address, or the connection broke
    ├── ServerNotReady       the server answers that it, or the model, cannot work now
    │   ├── ModelLoading     the model is being loaded, or replaced by another version
    │   └── ServerStopping   the server takes no more requests, since it is about to end
    ├── Overloaded           the server refused the work because it has too much
    ├── DeadlineExceeded     the answer did not come, or could not have come, in time
    ├── RequestCancelled     the call was given up, by the server or by closing the client
    ├── AccessDenied         the server does not let this caller in
    ├── ModelNotFound        no such model or version
    ├── UnsupportedModel     the model takes no images or gives no classes
    ├── InvalidRequest       the server rejects the request, whatever the image is
    ├── InvalidImage         the image cannot be read or decoded
    ├── Unimplemented        the server does not have what was asked for
    └── ServerError          anything else that went wrong in the server

The text of an error that a server sent is the server's own.
"""

from __future__ import annotations

import re
from typing import ClassVar

import grpc


class ClientError(Exception):
    """A classification failed; the message says why."""

    concerns_one_image: ClassVar[bool] = False
    """Whether the next image may well succeed, so that bulk work goes on."""


class ServerUnreachable(ClientError):  # noqa: N818 - names say what happened; the base class says that it is an error
    """Nobody answers at the server's address, or the connection broke before the answer came."""


class ServerNotReady(ClientError):  # noqa: N818
    """The server is there, but it or the model cannot work now."""


class ModelLoading(ServerNotReady):
    """The model is being loaded, or replaced by another version; soon it can work."""


class ServerStopping(ServerNotReady):
    """The server answers what it has accepted and ends; another one may take its place."""


class Overloaded(ClientError):  # noqa: N818
    """The server refused the work because it has too much of it; later, or slower, the same image may succeed."""

    concerns_one_image = True


class DeadlineExceeded(ClientError):  # noqa: N818
    """The answer did not come in time, or the server saw that it could not come in time."""

    concerns_one_image = True


class RequestCancelled(ClientError):  # noqa: N818
    """The call was given up: the server stopped, or the client was closed while it waited."""


class AccessDenied(ClientError):  # noqa: N818
    """The server does not know the caller, or does not let it do this."""


class ModelNotFound(ClientError):  # noqa: N818
    """The server has no such model or version, or no name was given and there is no single choice."""


class UnsupportedModel(ClientError):  # noqa: N818
    """The model's inputs and outputs are not those of an image classifier."""


class InvalidRequest(ClientError):  # noqa: N818
    """The server rejects the request for a reason that lies in the request, not in the image's content."""


class InvalidImage(ClientError):  # noqa: N818
    """The image's file cannot be read, or is larger than the server takes, or its bytes cannot be decoded."""

    concerns_one_image = True


class Unimplemented(ClientError):  # noqa: N818
    """The server does not have the service, method or feature that was asked for."""


class ServerError(ClientError):
    """Something went wrong inside the server, or its answer makes no sense."""

    concerns_one_image = True


_BY_CODE: dict[int, type[ClientError]] = {
    grpc.StatusCode.CANCELLED.value[0]: RequestCancelled,
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: InvalidRequest,
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0]: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND.value[0]: ModelNotFound,
    grpc.StatusCode.PERMISSION_DENIED.value[0]: AccessDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]: Overloaded,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE.value[0]: InvalidRequest,
    grpc.StatusCode.UNIMPLEMENTED.value[0]: Unimplemented,
    grpc.StatusCode.UNAVAILABLE.value[0]: ServerUnreachable,
    grpc.StatusCode.UNAUTHENTICATED.value[0]: AccessDenied,
}

# UNAVAILABLE means several things: gRPC found nobody, a queue is full, a model is not ready. Only the texts of Triton
# and of CoordServe, which are the same but for what Triton does not do, tell them apart.
_UNAVAILABLE_TEXTS: tuple[tuple[re.Pattern[str], type[ClientError]], ...] = (
    (re.compile(r"maximum queue size|timeout expired|too many images|too little memory", re.IGNORECASE), Overloaded),
    (re.compile(r"is stopping|shutting down", re.IGNORECASE), ServerStopping),
    (re.compile(r"being (un)?loaded"), ModelLoading),
    (re.compile(r"not (at )?ready|no available versions", re.IGNORECASE), ServerNotReady),
)
_TOO_LARGE = "message larger than max"  # gRPC's own text, which comes with the code of a server that has too much to do


def from_status(code: int, text: str, *, concerning_image: bool = False) -> ClientError:
    """Makes the error for a status that a server sent.

    Args:
        code: gRPC status code, as a number.
        text: The server's explanation.
        concerning_image: Whether the status is that of a single image, so that an invalid argument is that image.
    """
    kind = _BY_CODE.get(code, ServerError)
    if kind is ServerUnreachable:
        kind = next((other for pattern, other in _UNAVAILABLE_TEXTS if pattern.search(text)), kind)
    if (kind is InvalidRequest and concerning_image) or _TOO_LARGE in text:
        kind = InvalidImage
    return kind(text or f"the server sent status {code} without a text")


def from_rpc_error(error: grpc.RpcError) -> ClientError:
    """Makes the error for a call that gRPC, or the server, ended with a status."""
    status: grpc.StatusCode = error.code()
    return from_status(status.value[0], error.details() or status.value[1])
