"""The steps of an ensemble, `ensemble_scheduling` of its config.pbtxt, and what is wrong with them by themselves.

Texts are Triton's (ValidateEnsembleSchedulingConfig in triton-inference-server/core).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PLATFORM = "ensemble"


@dataclass(frozen=True, slots=True)
class Step:
    """One model of an ensemble.

    `inputs` tells for each input of the model which of the ensemble's tensors it gets, `outputs` for each output which
    it becomes. `version` is None where it is the latest.
    """

    model: str
    version: int | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def read_steps(proto: Any) -> tuple[Step, ...]:
    """The steps of a config that is good, each behind those whose outputs it takes; none of what is no ensemble."""
    ready = {tensor.name for tensor in proto.input}
    return tuple(
        Step(
            step.model_name,
            None if step.model_version == -1 else step.model_version,
            dict(step.input_map),
            dict(step.output_map),
        )
        for step in _in_order(proto.ensemble_scheduling.step, ready)
    )


def ensemble_faults(proto: Any) -> Iterator[str]:
    """What is wrong with an ensemble, whatever its steps' models are."""
    name, steps = proto.name, proto.ensemble_scheduling.step
    if proto.backend or proto.platform != PLATFORM:
        yield f"Ensemble model '{name}' must have platform type 'ensemble' and empty backend type"
    if not proto.HasField("ensemble_scheduling"):
        yield f"ensemble scheduling must be set for ensemble {name} whose platform is ensemble"
    if proto.instance_group:
        yield f"instance group should not be specified for ensemble '{name}'"
    if not steps:
        yield f"must specify 'step' for ensemble '{name}'"
    written: set[str] = set()
    for index, step in enumerate(steps):
        for field in ("model_name", "input_map", "output_map"):
            if not getattr(step, field):
                yield f"must specify '{field}' in step {index} of ensemble '{name}'"
        for tensor in step.output_map.values():
            if tensor in written:
                once = f"ensemble tensor '{tensor}' can appear in an output map only once"
                yield f"{once} for ensemble '{name}' step {index}"
            written.add(tensor)
    yield from _unconnected(proto, written)


def _unconnected(proto: Any, written: set[str]) -> Iterator[str]:
    name, steps = proto.name, proto.ensemble_scheduling.step
    given, wanted = ({tensor.name for tensor in tensors} for tensors in (proto.input, proto.output))
    read = {tensor for step in steps for tensor in step.input_map.values()}
    for role, tensors in (("input", given), ("output", wanted)):
        for tensor in sorted(tensors - read - written):
            yield f"ensemble {role} '{tensor}' for ensemble {name}' is not used"
    reached = set(given)
    for step in _in_order(steps, reached):
        reached.update(step.output_map.values())
    for tensor in sorted(written - reached):
        missing = min(set(_writer(steps, tensor).input_map.values()) - reached, default=tensor)
        depends = f"at least one of its depending tensors, '{missing}', is not connected"
        yield f"output '{tensor}' for ensemble '{name}' is not written: {depends}"
    for tensor in sorted(written - read - wanted):
        yield f"ensemble tensor '{tensor}' is unused in ensemble '{name}'"


def _writer(steps: Iterable[Any], tensor: str) -> Any:
    return next(step for step in steps if tensor in step.output_map.values())


def _in_order(steps: Iterable[Any], ready: Iterable[str]) -> Iterator[Any]:
    """The steps that can run once the tensors `ready` are there, each behind those that it needs."""
    reached, waiting = set(ready), list(steps)
    while runnable := [step for step in waiting if reached.issuperset(step.input_map.values())]:
        yield from runnable
        waiting = [step for step in waiting if step not in runnable]
        reached.update(tensor for step in runnable for tensor in step.output_map.values())
