"""Whether an ensemble's steps fit together, with the models that they name. Texts are Triton's.

They are those of ValidateEnsembleConfig in triton-inference-server/core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from server.model_config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.model_config import ModelConfig
    from server.tensor_types import TensorSpec


class _Said(NamedTuple):
    """What a model says of a tensor."""

    model: ModelConfig
    spec: TensorSpec

    @property
    def data_type(self) -> str:
        return "TYPE_" + ("STRING" if self.spec.datatype == "BYTES" else self.spec.datatype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (-1, *self.spec.dims) if self.model.batches else self.spec.dims


def check(config: ModelConfig, models: Sequence[ModelConfig]) -> None:
    """Compare what the ensemble and the models of its steps say of batches and of each tensor.

    Raises:
        ConfigError: they contradict each other.
    """
    known = {spec.name: _Said(config, spec) for spec in (*config.inputs, *config.outputs)}
    for step, model in zip(config.steps, models, strict=True):
        if config.batches and config.proto.max_batch_size > model.proto.max_batch_size:
            raise ConfigError(
                f"ensemble {config.name} allows maximum batch size {config.max_rows}, but it contains model"
                f" {model.name} which only allows maximum batch size to be {model.proto.max_batch_size}"
            )
        for role, names, specs in (("input", step.inputs, model.inputs), ("output", step.outputs, model.outputs)):
            said = {spec.name: _Said(model, spec) for spec in specs}
            _check_role(role, names, said, known, f"in ensemble {config.name}, ensemble tensor")
        missing = [spec.name for spec in model.inputs if spec.name not in step.inputs]
        if missing:
            where = f"in ensemble {config.name}, input {missing[0]} in model {model.name}"
            raise ConfigError(f"{where} is not mapped to any ensemble tensors")


def _check_role(
    role: str, names: Mapping[str, str], said: Mapping[str, _Said], known: dict[str, _Said], where: str
) -> None:
    """Check the inputs, or the outputs, of one model; `names` tells which tensor of the ensemble each of them is."""
    model = next(iter(said.values())).model.name
    for name, tensor in names.items():
        if name not in said:
            mapping = "mapping to" if role == "input" else "mapped from"
            raise ConfigError(f"{where} {tensor} is {mapping} non-existing {role} {name} in model {model}")
        _compare(f"{where} {tensor}", known.setdefault(tensor, said[name]), said[name])


def _compare(where: str, one: _Said, other: _Said) -> None:
    for kind, first, second in (
        ("data type", one.data_type, other.data_type),
        ("shape", *(f"[{','.join(map(str, said.shape))}]" for said in (one, other))),
    ):
        same = first == second or (kind == "shape" and _agree(one, other))
        if not same:
            raise ConfigError(
                f"{where}: inconsistent {kind}: {first} is inferred from model {one.model.name} while {second} is"
                f" inferred from model {other.model.name}"
            )


def _agree(one: _Said, other: _Said) -> bool:
    """Whether two shapes can be those of one tensor: -1 is any size; a batch of one row goes without its dimension."""
    pairs = [(one.shape, other.shape)]
    if one.model.batches != other.model.batches:
        pairs.append((one.spec.dims, other.spec.dims))
    return any(
        len(first) == len(second) and all(a == b or -1 in (a, b) for a, b in zip(first, second, strict=True))
        for first, second in pairs
    )
