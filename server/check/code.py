"""Models that are no TorchScript: in Python, ensembles, and those that only Triton serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server import ensemble_config
from server.model_config import PYTHON

if TYPE_CHECKING:
    from pathlib import Path

# Triton's own, beside PyTorch's and Python's.
_OTHERS = {
    *("tensorrt_plan", "tensorflow_graphdef", "tensorflow_savedmodel", "onnxruntime_onnx"),
    *("tensorrt", "tensorflow", "onnxruntime", "openvino", "dali", "fil", "vllm", "tensorrtllm"),
}
_PLACE = re.compile(r"([^:\n]+\.py):([0-9]+): (.*)")


def has_no_module(config: Any) -> bool:
    """Whether a model is no TorchScript module, so that PyTorch's rules do not hold for it."""
    is_ensemble = config.platform == ensemble_config.PLATFORM or config.HasField("ensemble_scheduling")
    return bool(config.backend == PYTHON or is_ensemble)


def is_for_triton_alone(config: Any) -> bool:
    """Whether a model names a platform or backend that Triton has and this server has not."""
    return config.platform in _OTHERS or config.backend in _OTHERS


def place(error: str, version: Path) -> tuple[Path, int, str] | None:
    """File, line and text of an error that came up in the code of the directory `version`; None for others."""
    match = _PLACE.fullmatch(error)
    return (version / match[1], int(match[2]), match[3]) if match else None
