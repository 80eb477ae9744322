"""One request through a model's queue."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError as CancelledFutureError
from typing import TYPE_CHECKING, Any

from server.errors import QueueTimeout, ServingError
from server.observed_request import current

if TYPE_CHECKING:
    from concurrent.futures import Future

    from server.engine import Payload, Result
    from server.instance import Reply
    from server.model import ModelVersion
    from server.model_config import QueuePolicy
    from server.services.delivery import Delivery


async def execute(
    model: ModelVersion,
    delivery: Delivery,
    payload: Payload,
    rows: int,
    deadline: float,
    timeout_seconds: float = 0.0,
) -> Reply[Result]:
    """Queue a request and await its answer; cancelling this coroutine takes it out of the queue.

    `deadline` is an instant of `time.monotonic`, `timeout_seconds` the caller's limit for waiting in the queue.

    Raises:
        ServingError: there is no answer.
    """
    request, arrived_ns = current(), time.monotonic_ns()
    try:
        future = model.batcher.submit(payload, rows, deadline, request.trace)
        timeout = _queue_timeout(model.config.queue, timeout_seconds)
        answer = _within(timeout, future, delivery) if timeout else delivery.result(future)
        del future  # as in Delivery: nothing here may know the error that comes through here
        reply = await answer
    except (ServingError, asyncio.CancelledError) as error:
        request.waited(model.config.name, arrived_ns, getattr(error, "started_ns", 0))
        raise
    request.ran(model.config.name, reply)
    if isinstance(reply.result, ServingError):  # code in a model may answer a request so
        raise type(reply.result)(*reply.result.args)  # a copy, as the reply is known to the frames that it passes
    return reply


def _queue_timeout(policy: QueuePolicy, requested: float) -> float:
    """Seconds that a request may wait; 0 is no limit. As with Triton a caller can only shorten the policy's time."""
    if requested and policy.timeout_override and policy.timeout_seconds:
        return min(requested, policy.timeout_seconds)
    return policy.timeout_seconds


async def _within(timeout_seconds: float, future: Future[Any], delivery: Delivery) -> Any:
    """The answer, unless no instance takes the request in time; once taken, it is finished."""
    expiry = asyncio.get_running_loop().call_later(timeout_seconds, future.cancel)
    answer = delivery.result(future)
    del future  # likewise; the timer forgets it when it is cancelled
    try:
        return await answer
    except CancelledFutureError:
        raise QueueTimeout("Request timeout expired") from None
    finally:
        expiry.cancel()
