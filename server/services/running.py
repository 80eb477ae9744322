"""A request through the model that it names: a module's queue, code in Python, or the steps of an ensemble."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from server.errors import QueueFull
from server.model_config import PYTHON
from server.python_backend.request import TensorRequest
from server.services.execution import execute
from server.services.infer_request import id_prefix

if TYPE_CHECKING:
    from server.instance import Reply
    from server.model import ModelVersion
    from server.services.delivery import Delivery
    from server.services.infer_request import Inference


async def run(
    model: ModelVersion, delivery: Delivery, request: Any, inference: Inference, deadline: float
) -> Reply[Any]:
    """Await the answer of a model that runs something itself; `request` is the message that brought `inference`.

    Raises:
        ServingError: there is no answer.
    """
    payload: Any = inference.payload
    if model.config.backend == PYTHON:
        payload = _tensor_request(request, inference)
    try:
        return await execute(model, delivery, payload, inference.rows, deadline, inference.timeout_seconds)
    except QueueFull as error:
        raise QueueFull(id_prefix(request) + str(error)) from None
    except asyncio.CancelledError:
        if isinstance(payload, TensorRequest):
            payload.cancelled = True
        raise


def _tensor_request(request: Any, inference: Inference) -> TensorRequest:
    """What code in Python is asked, and may ask of the request."""
    reserved = ("priority", "timeout", "sequence_id", "sequence_start", "sequence_end")
    parameters = {
        key: getattr(value, value.WhichOneof("parameter_choice"))
        for key, value in request.parameters.items()
        if key not in reserved and not key.startswith("triton_")
    }
    timeout_us = int(inference.timeout_seconds * 1e6)
    return TensorRequest(inference.payload, request.id, json.dumps(parameters, separators=(",", ":")), timeout_us)
