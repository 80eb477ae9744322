"""Models of one module, and how their instances are asked: what the tests of the engine share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from server import model_config
from server.engine import TorchScriptInstance, TorchScriptModel
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

    from server.engine import Result


def make_model(directory: Path, module: nn.Module | None, config: str) -> TorchScriptModel:
    """A module, loaded as config.pbtxt says; None leaves the file away."""
    path = directory / "model.pt"
    if module is not None:
        save_module(module, path)
    (directory / "config.pbtxt").write_text('platform: "pytorch_libtorch"\n' + config)
    return TorchScriptModel(path, model_config.read(directory))


def make_instance(directory: Path, module: nn.Module, config: str) -> TorchScriptInstance:
    """An instance of such a model, open."""
    instance = TorchScriptInstance(make_model(directory, module, config), torch.get_num_threads())
    instance.open()
    return instance


def tensors(role: str, *tensors: tuple[str, str, list[int]]) -> str:
    """Inputs or outputs for config.pbtxt: (name, type, dims)."""
    return "".join(
        f'{role} [ {{ name: "{name}" data_type: TYPE_{kind} dims: {dims} }} ]\n' for name, kind, dims in tensors
    )


def payload(*arrays: Any) -> tuple[bytes, ...]:
    """Arrays as a message brings them."""
    return tuple(np.asarray(array).tobytes() for array in arrays)


def run(
    instance: TorchScriptInstance, *payloads: tuple[bytes | memoryview, ...], rows: list[int] | None = None
) -> list[Result]:
    """What an instance answers."""
    return list(instance.run(payloads, rows or [1] * len(payloads)).results)


class Identity(nn.Module):
    """Gives back the very memory that it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """The input itself."""
        return x


class Weighted(nn.Module):
    """A module with a parameter, which would make outputs ask for gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        """The input times the weight."""
        return x * self.weight


ONE = tensors("input", ("INPUT__0", "FP32", [2])) + tensors("output", ("OUTPUT__0", "FP32", [2]))
OUT = tensors("output", ("OUTPUT__0", "FP32", [1]))
