"""Weights in files: our own safetensors with the model's facts, and PyTorch files of others, such as the authors'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from modeling.command import InputError
from modeling.facts import ModelFacts
from modeling.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

_FACTS_KEY = "coordserve"
_PARALLEL_PREFIX = "module."  # DataParallel puts it before every name


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


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], ModelFacts]:
    """Read what `save_checkpoint` wrote, in single precision.

    Raises:
        InputError: The file is not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {path} as safetensors ({error})") from None
    if _FACTS_KEY not in metadata:
        raise InputError(f"{path} does not say which classes and which input size its weights are for")
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    return floats, ModelFacts.from_json(metadata[_FACTS_KEY])


def load_state_file(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a PyTorch file, which may be wrapped as training scripts do; runs no code in it.

    Raises:
        InputError: The file cannot be read, or holds no state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the unpickler meets garbage with errors of any kind
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path} as PyTorch weights ({reason})") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise InputError(f"{path} holds no state dict: names and tensors")
    return {str(name).removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in content.items()}


def load_strictly(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights into a network by name.

    Raises:
        InputError: A name is missing or unexpected, or a tensor has another shape; all of them are listed.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    # Old files lack the counters of batches seen, which nothing here reads.
    missing = [name for name in expected if name not in found and not name.endswith("num_batches_tracked")]
    problems = [f"missing {name}" for name in missing]
    problems += [f"unexpected {name}" for name in found if name not in expected]
    problems += [
        f"{name} has shape {found[name]} where the network has {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if problems:
        raise InputError(f"the weights do not fit the network: {'; '.join(problems)}")
    network.load_state_dict(dict(state), strict=False)
