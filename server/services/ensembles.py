"""A request through an ensemble: its tensors flow from step to step, each through its model's own queue.

No tensor is copied on its way. Every step has the request's id, parameters, deadline and timeout; cancelling the
request cancels the steps that are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from server.ensemble import EnsembleVersion
from server.errors import InvalidRequest, ServingError
from server.instance import Execution, Reply
from server.model_config import BACKEND
from server.services.infer_request import Inference, check_rows, check_shape, id_prefix
from server.services.outcome import Outcome
from server.services.running import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from server.ensemble_config import Step
    from server.model import ModelVersion
    from server.model_config import ModelConfig
    from server.repository import ModelRepository
    from server.services.delivery import Delivery
    from server.tensor_types import TensorSpec

    Tensors = dict[str, NDArray[Any]]


class Pipelines:
    """Runs requests of any model: those of an ensemble step by step, with the models of `repository`."""

    def __init__(self, repository: ModelRepository, delivery: Delivery) -> None:
        self._repository = repository
        self._delivery = delivery

    async def run(
        self, model: ModelVersion | EnsembleVersion, request: Any, inference: Inference, deadline: float
    ) -> Reply[Any]:
        """Await the answer; `request` is the message that brought `inference`.

        Raises:
            ServingError: there is no answer.
        """
        if not isinstance(model, EnsembleVersion):
            return await run(model, self._delivery, request, inference, deadline)
        arrived_ns = time.monotonic_ns()
        try:
            reply = await self._run_steps(model, request, inference, deadline, arrived_ns)
        except ServingError as error:
            raise type(error)(f"in ensemble '{model.config.name}', {error}") from error
        model.statistics.executed(inference.rows, reply.execution)
        return reply

    async def _run_steps(
        self, model: EnsembleVersion, request: Any, inference: Inference, deadline: float, arrived_ns: int
    ) -> Reply[Any]:
        config = model.config
        tensors: Tensors = {spec.name: array for spec, array in zip(config.inputs, inference.payload, strict=True)}
        executions: list[Execution[Any]] = []
        with contextlib.ExitStack() as leases:
            lease = self._repository.lease
            models = [leases.enter_context(lease(step.model, step.version)) for step in config.steps]
            model.check_steps(models)
            wanted = [config.outputs[position].name for position, _ in inference.outputs]
            for wave in _waves(config.steps, models, wanted, tensors):
                work = [self._run_step(*each, request, inference, deadline, tensors) for each in wave]
                for outcome in await asyncio.gather(*work, return_exceptions=True):
                    if isinstance(outcome, BaseException):
                        try:
                            raise outcome
                        finally:
                            del outcome  # its trace knows this frame, and both would keep every tensor
                    executions.append(outcome)
        return _reply(config, tensors, inference.rows, executions, arrived_ns)

    async def _run_step(
        self, step: Step, model: ModelVersion, request: Any, inference: Inference, deadline: float, tensors: Tensors
    ) -> Execution[Any]:
        """Run one step; its outputs go to `tensors`. Returns where its time went."""
        payload, rows = _payload(step, model.config, tensors, request)
        outputs = [(position, 0) for position in range(len(model.config.outputs))]
        asked = Inference(payload, rows, outputs, inference.timeout_seconds)
        with Outcome(model, request.id, step=True) as outcome:
            reply = await self.run(model, request, asked, deadline)
            outcome.answered(rows, reply)
        for spec, array in zip(model.config.outputs, reply.result, strict=True):
            if spec.name in step.outputs:
                tensors[step.outputs[spec.name]] = array
        return reply.execution


def _waves(
    steps: Sequence[Step], models: Sequence[ModelVersion], wanted: Iterable[str], tensors: Tensors
) -> Iterator[list[tuple[Step, ModelVersion]]]:
    """What is needed for the tensors `wanted`: each time, the steps whose inputs are among `tensors` by then."""
    needed, waiting = set(wanted), []
    for step, model in reversed(list(zip(steps, models, strict=True))):
        if needed.intersection(step.outputs.values()):
            needed.update(step.inputs.values())
            waiting.append((step, model))
    while waiting:
        wave = [each for each in waiting if tensors.keys() >= set(each[0].inputs.values())]
        waiting = [each for each in waiting if each not in wave]
        yield wave


def _payload(step: Step, config: ModelConfig, tensors: Tensors, request: Any) -> tuple[tuple[Any, ...], int]:
    """A step's inputs as its model takes them, and how many rows they have."""
    arrays = [_fitted(tensors[step.inputs[spec.name]], spec, batches=config.batches) for spec in config.inputs]
    rows = len(arrays[0]) if config.batches else 1
    if rows < 1:
        raise InvalidRequest(f"{id_prefix(request)}inference request batch-size must be >= 1 for '{config.name}'")
    try:
        check_rows(rows, config)
        for array, spec in zip(arrays, config.inputs, strict=True):
            check_shape(array.shape, spec, rows, config)
    except InvalidRequest as error:
        raise InvalidRequest(id_prefix(request) + str(error)) from None
    return tuple(_buffer(array) for array in arrays) if config.backend == BACKEND else tuple(arrays), rows


def _fitted(array: NDArray[Any], spec: TensorSpec, *, batches: bool) -> NDArray[Any]:
    """`array` with a batch dimension for who batches, and without one, if it is of one row, for who does not."""
    if batches and array.ndim == len(spec.dims):
        return array[np.newaxis]
    if not batches and array.ndim == len(spec.dims) + 1 and len(array) == 1:
        return array[0]  # type: ignore[no-any-return] # an array, as it has a dimension too many
    return array


def _buffer(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _reply(
    config: ModelConfig, tensors: Tensors, rows: int, executions: Sequence[Execution[Any]], arrived_ns: int
) -> Reply[Any]:
    """The ensemble's answer; as with Triton, its times are the sums of its steps' times, and it waits in no queue."""
    result = tuple(
        _fitted(tensors[spec.name], spec, batches=config.batches) if spec.name in tensors else None
        for spec in config.outputs
    )
    input_ready_ns = arrived_ns + sum(each.input_ready_ns - each.started_ns for each in executions)
    computed_ns = input_ready_ns + sum(each.computed_ns - each.input_ready_ns for each in executions)
    finished_ns = computed_ns + sum(each.finished_ns - each.computed_ns for each in executions)
    execution = Execution([result], arrived_ns, input_ready_ns, computed_ns, finished_ns)
    return Reply(result, arrived_ns, rows, execution)
