"""Small models in Python for tests: a config.pbtxt and the code that goes with it; and an ensemble of two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DOUBLE_CONFIG = """
    backend: "python"  max_batch_size: 4  instance_group [ { count: 1 } ]  dynamic_batching { }
    input [ { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] } ]
    output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] } ]
"""
DOUBLE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()) for request in requests]

    def answer(self, array):
        if (array < 0).any():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("negative", pb_utils.TritonError.INVALID_ARG))
        if (array > 100).any():
            raise ValueError("too much")
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", array * 2)])
"""
STEP = (
    'model_name: "{model}" model_version: -1 '
    'input_map {{ key: "IN" value: "{old}" }} output_map {{ key: "OUT" value: "{new}" }}'
)
SECOND, FIRST = STEP.format(model="two", old="B", new="C"), STEP.format(model="one", old="A", new="B")
TWICE = f"""
    platform: "ensemble"  max_batch_size: 4
    input [ {{ name: "A" data_type: TYPE_FP32 dims: [ 2 ] }} ]
    output [ {{ name: "C" data_type: TYPE_FP32 dims: [ 2 ] }} ]
    ensemble_scheduling {{ step [ {{ {SECOND} }}, {{ {FIRST} }} ] }}
"""


def write_step(directory: Path, code: str = DOUBLE, config: str = DOUBLE_CONFIG, version: int = 1) -> Path:
    """Write a model with one version; returns its model.py."""
    path = directory / str(version) / "model.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    (directory / "config.pbtxt").write_text(config)
    return path


def write_ensemble(directory: Path, config: str = TWICE) -> None:
    """Write an ensemble with one version."""
    (directory / "1").mkdir(parents=True, exist_ok=True)
    (directory / "config.pbtxt").write_text(config)
