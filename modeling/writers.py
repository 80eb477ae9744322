"""What writes a model in each format, and gives it back as an engine for that format runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modeling.model_format import ModelFormat
from modeling.onnx_model import load_onnx, save_onnx
from modeling.torchscript import load_torchscript, save_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from modeling.facts import ModelFacts
    from modeling.servable import Servable


def write_torchscript(servable: Servable, facts: ModelFacts, path: Path) -> Callable[[Tensor], Tensor]:
    """Write TorchScript and load it."""
    save_torchscript(servable, facts, path)
    return load_torchscript(path)[0]


def write_onnx(servable: Servable, facts: ModelFacts, path: Path) -> Callable[[Tensor], Tensor]:
    """Write ONNX and load it."""
    save_onnx(servable, facts, path)
    return load_onnx(path)[0]


WRITERS = {ModelFormat.TORCHSCRIPT: write_torchscript, ModelFormat.ONNX: write_onnx}
