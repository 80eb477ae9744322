"""Every way in which a request can fail: what the caller is told and how it is counted.

    ServingError
    ├── InvalidRequest          INVALID_ARGUMENT   the caller's fault
    │   ├── InvalidImage
    │   └── IncompleteElement
    ├── MessageTooLarge         RESOURCE_EXHAUSTED
    ├── OriginNotAllowed        PERMISSION_DENIED  HTTP only
    ├── ModelNotFound           NOT_FOUND
    ├── Unsupported             UNIMPLEMENTED
    ├── AlreadyExists           ALREADY_EXISTS     only code in a model says so
    ├── Unavailable             UNAVAILABLE        worth a retry elsewhere or later
    │   ├── ControlNotAllowed
    │   ├── ModelNotReady
    │   │   ├── ModelUnloaded
    │   │   └── StepsMismatch
    │   ├── QueueFull
    │   ├── QueueTimeout
    │   └── ShuttingDown
    ├── DeadlineUnreachable     DEADLINE_EXCEEDED
    ├── RequestCancelled        CANCELLED
    ├── ModelFailed             INTERNAL
    └── UnknownFailure          UNKNOWN            only code in a model says so

The message of a `ServingError` goes to the caller as it is, so it never speaks of the inside of the server. Any other
exception is a bug: it is logged and the caller learns only that something broke.
"""

from __future__ import annotations

from typing import ClassVar

import grpc

UNKNOWN_MODEL = "Request for unknown model: "
"""What Triton begins all texts with that tell of models which do not answer."""


class StartError(Exception):
    """The server cannot start; the message is the one line that the person at the terminal reads."""


class ServingError(Exception):
    """A request failed: `code` goes on the wire, `reason` labels the metric that counts it."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    reason: ClassVar[str] = "internal"
    # When an instance began the work that failed, in nanoseconds of `time.monotonic_ns`; 0 where none did.
    started_ns: int = 0


class InvalidRequest(ServingError):
    """The request can never succeed as it stands."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "invalid"


class InvalidImage(InvalidRequest):
    """The bytes are no image that can be decoded within the limits."""

    reason = "invalid_image"


class IncompleteElement(InvalidRequest):
    """A tensor of BYTES ends within an element; Triton finds this later than all else that is wrong with a request."""


class MessageTooLarge(ServingError):
    """The message has more bytes than this server takes."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "too_large"


class OriginNotAllowed(ServingError):
    """A page of another origin asks in its visitor's name."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "unsupported"


class ModelNotFound(ServingError):
    """No such model or version."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "not_found"


class Unsupported(ServingError):
    """The protocol has it, this server or this model has not."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "unsupported"


class AlreadyExists(ServingError):
    """A model's own code says that there is such a thing already."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "model"


class Unavailable(ServingError):
    """Not now: the same request may succeed later or elsewhere."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "unavailable"


class ControlNotAllowed(Unavailable):
    """The server was not started for loading and unloading by request: Triton's code, but the caller's mistake."""

    reason = "unsupported"


class ModelNotReady(Unavailable):
    """The model is in the repository but cannot answer now."""

    reason = "not_ready"


class ModelUnloaded(ModelNotReady):
    """The version was unloaded, or never loaded: it does not come back by itself."""


class StepsMismatch(ModelNotReady):
    """The steps of an ensemble have models, but those fit together no more: one was loaded again with other tensors."""


class QueueFull(Unavailable):
    """As many requests wait as may wait."""

    reason = "queue_full"


class QueueTimeout(Unavailable):
    """The request waited for longer than the queue's policy allows."""

    reason = "queue_timeout"


class ShuttingDown(Unavailable):
    """The model's queue takes nothing more."""

    reason = "shutdown"


class DeadlineUnreachable(ServingError):
    """The caller's deadline has passed, or would before the work that is queued is done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "deadline"


class RequestCancelled(ServingError):
    """The caller left."""

    code = grpc.StatusCode.CANCELLED
    reason = "cancelled"


class ModelFailed(ServingError):
    """The model raised, or returned something other than its configuration promises."""

    code = grpc.StatusCode.INTERNAL
    reason = "model"


class UnknownFailure(ServingError):
    """A model's own code gave no better reason."""

    code = grpc.StatusCode.UNKNOWN
    reason = "model"
