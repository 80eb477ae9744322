"""What config.pbtxt says of a module's inputs and outputs, beside the module itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from server.engine import index_in_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from server.check.finding import Fault


def argument_names(path: Path) -> list[str] | None:
    """The names of the arguments of the TorchScript module `path`; None where there is none to be loaded."""
    try:
        module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call] # torch's
    except (RuntimeError, ValueError, OSError):
        return None
    return [argument.name for argument in module.forward.schema.arguments[1:]] if hasattr(module, "forward") else []


def count_faults(config: Any, arguments: Sequence[str]) -> Iterator[Fault]:
    """What Triton's C++ PyTorch backend would not load; this repository's `make triton`, in Python, does."""
    if len(arguments) != len(config.input):
        counts = f"the module takes {len(arguments)} inputs, config.pbtxt has {len(config.input)}"
        yield "input", f"{counts}: Triton's C++ PyTorch backend refuses it"


def order_faults(config: Any, arguments: Sequence[str]) -> Iterator[Fault]:
    """Names from which the order of several inputs or outputs cannot be told."""
    for role, tensors, known in (("input", config.input, arguments), ("output", config.output, ())):
        names = [tensor.name for tensor in tensors]
        by_name = sorted(names) == sorted(known)
        indices = [index for name in names if (index := index_in_name(name)) is not None]
        if by_name or sorted(indices) == list(range(len(names))):
            continue
        if len(indices) == len(names):
            yield role, f"the {role}s' names have the indices {indices}, not 0 to {len(names) - 1}"
        elif len(names) > 1:
            like = "neither the arguments' names nor like NAME__INDEX" if role == "input" else "not like NAME__INDEX"
            yield role, f"the {role}s' names are {like}: they are taken in the order of config.pbtxt"
