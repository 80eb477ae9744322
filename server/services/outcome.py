"""One request in the books of its model: accepted once, and then a success or one failure, whatever happens."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from server.errors import (
    AlreadyExists,
    DeadlineUnreachable,
    ModelFailed,
    QueueFull,
    QueueTimeout,
    RequestCancelled,
    UnknownFailure,
)

if TYPE_CHECKING:
    from server.ensemble import EnsembleVersion
    from server.instance import Reply
    from server.model import ModelVersion

# Triton's names for why a request failed; all others are "OTHER".
_FAILURE_REASONS: dict[type[BaseException], str] = {
    QueueFull: "REJECTED",
    QueueTimeout: "REJECTED",
    DeadlineUnreachable: "REJECTED",
    RequestCancelled: "CANCELED",
    asyncio.CancelledError: "CANCELED",
    ModelFailed: "BACKEND",
    AlreadyExists: "BACKEND",
    UnknownFailure: "BACKEND",
}


class Outcome:
    """`with Outcome(model) as outcome:` is around all that is done for a request that `model` has accepted.

    It counts as a success when the block ends, as a failure when an exception leaves it. A `step` is asked for by an
    ensemble, not by a caller.
    """

    __slots__ = ("_arrived_ns", "_reply", "_request_id", "_rows", "_statistics", "_step")

    def __init__(self, model: ModelVersion | EnsembleVersion, request_id: str = "", *, step: bool = False) -> None:
        self._statistics = model.statistics
        self._request_id = request_id
        self._step = step
        self._rows = 0
        self._reply: Reply[Any]

    def __enter__(self) -> Self:
        """Count the request as accepted."""
        self._arrived_ns = time.monotonic_ns()
        self._statistics.accepted()
        return self

    def answered(self, rows: int, reply: Reply[Any]) -> None:
        """Tell what the answer to the request's `rows` rows is; needed before the block ends well."""
        self._rows, self._reply = rows, reply

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Count the end."""
        duration_ns = time.monotonic_ns() - self._arrived_ns
        if error is None:
            self._statistics.succeeded(self._rows, self._reply, duration_ns, self._request_id)
            if self._step:
                self._statistics.was_step(self._reply, duration_ns)
        else:
            reason = _FAILURE_REASONS.get(type(error), "OTHER")
            self._statistics.failed(reason, duration_ns, self._request_id)
