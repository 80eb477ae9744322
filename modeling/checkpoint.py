"""Weights in files: our own safetensors with the model's facts, and files of others, such as the authors'."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from modeling.command import InputError
from modeling.facts import ModelFacts
from modeling.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

SUFFIX = ".safetensors"  # of the only files that hold facts
_FACTS_KEY = "coordserve"
# Under which names training scripts keep the weights, beside an optimizer's state and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights")
_SHOWN = 3
_COUNTER = "num_batches_tracked"  # of batches seen, which old files lack and nothing here reads
# What tools leave among the weights: AveragedModel of torch.optim.swa_utils, and thop, which counts.
_LEFT_BEHIND = ("n_averaged", "total_ops", "total_params")


def as_stored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round a state dict as files hold it.

    Kernels and matrices are stored in half precision; vectors, such as the variances of a batch normalisation, whose
    range half precision does not cover, stay as they are.
    """
    return {name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in state.items()}


def save_checkpoint(path: Path, state: Mapping[str, Tensor], facts: ModelFacts) -> None:
    """Write a state dict and its facts as safetensors, and the facts once more beside it as JSON, for people."""
    with replacing(path) as temporary:
        temporary.write_bytes(save(as_stored(state), {_FACTS_KEY: facts.to_json()}))
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(facts.to_json() + "\n", encoding="utf-8")


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], ModelFacts | None]:
    """Read what `save_checkpoint` wrote, in single precision, or safetensors of others, which come without facts.

    Raises:
        InputError: The file is not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {path} as safetensors ({error})") from None
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    if _FACTS_KEY not in metadata:
        return _own_names(floats), None
    return floats, ModelFacts.from_json(metadata[_FACTS_KEY])


def load_state_file(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a PyTorch file, which may be wrapped as training scripts do; runs no code in it.

    Raises:
        InputError: The file cannot be read, or holds no state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise InputError(f"cannot read {path} as PyTorch weights: save the state_dict() of a network in it") from None
    except Exception as error:  # noqa: BLE001 - garbage ends in errors of any kind
        reason = str(error).partition("\n")[0] or "it is empty or damaged"
        raise InputError(f"cannot read {path} as PyTorch weights ({reason})") from None
    while wrapper := _wrapper(content):
        content = content.pop(wrapper)  # one that holds itself comes to an end, too
    if not isinstance(content, dict) or not content or not all(_is_plain(value) for value in content.values()):
        raise InputError(f"{path} holds no state dict: names and tensors")
    return _own_names({str(name): tensor for name, tensor in content.items()})


def _own_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what tools left behind, and what all names begin with, such as `module.` of DataParallel.

    No network here is a single module at its top, so what all names share is none of its own.
    """
    state = {name: tensor for name, tensor in state.items() if name.rpartition(".")[2] not in _LEFT_BEHIND}
    while state:
        first, _, _ = next(iter(state)).partition(".")
        if not all(name.startswith(f"{first}.") for name in state):
            break
        state = {name.removeprefix(f"{first}."): tensor for name, tensor in state.items()}
    return state


def require_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Raise InputError, with what they are from, where weights have numbers that are not finite."""
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise InputError(f"{name} in {source} has numbers that are not finite")


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, but for the optional counters."""
    return {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(_COUNTER)}


def misfits(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say of each name that is missing, unexpected or of another shape what is wrong with it."""
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"unexpected {name}" for name in found if name not in expected]
    return problems + [
        f"{name} has shape {found[name]} where the network has {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]


def listed(problems: Sequence[str]) -> str:
    """Put the first problems into one line; where one thing is wrong there may be hundreds."""
    more = len(problems) - _SHOWN
    return "; ".join([*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def load_strictly(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights into a network by name.

    Raises:
        InputError: A name is missing or unexpected, or a tensor has another shape or no real numbers.
    """
    problems = misfits(shapes_of(network.state_dict()), shapes_of(state))
    problems += [
        f"{name} holds {tensor.dtype}, no real numbers"
        for name, tensor in state.items()
        if not tensor.is_floating_point() and not name.endswith(_COUNTER)
    ]
    if problems:
        raise InputError(f"the weights do not fit the network: {listed(problems)}")
    network.load_state_dict({name: state[name] for name in shapes_of(state)}, strict=False)


def _wrapper(content: object) -> str | None:
    """Return the name under which a dict holds the dict that matters."""
    if not isinstance(content, dict):
        return None
    return next((name for name in _WRAPPERS if isinstance(content.get(name), dict)), None)


def _is_plain(value: object) -> bool:
    """Tell whether this is a tensor whose numbers are all there: neither sparse nor quantized nor a mere shape."""
    return (
        isinstance(value, torch.Tensor) and value.layout is torch.strided and not (value.is_quantized or value.is_meta)
    )
