"""A repository with the ensemble that the exporter writes, around a network whose outputs are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modeling.ensemble import ensemble_files
from modeling.facts import ModelFacts
from modeling.servable import InputForm
from tests.parity.models import LABELS, Pixels
from tests.torchscript_models import write_model

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = """
platform: "pytorch_libtorch"
max_batch_size: 8
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] label_filename: "labels.txt" } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { }
"""
# The ensemble of an ensemble, whose labels are those of the network, without a batch dimension.
OUTER = """
platform: "ensemble"
max_batch_size: 0
input [ { name: "FILE" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "CLASSES" data_type: TYPE_FP32 dims: [ 5 ] } ]
ensemble_scheduling { step [ {
  model_name: "classify_image"  model_version: -1
  input_map { key: "IMAGE" value: "FILE" }  output_map { key: "PROBABILITIES" value: "CLASSES" }
} ] }
"""
# Code that gives back what it gets, doubled, and answers by an error or raises when it is told so.
ECHO = """
backend: "python"
max_batch_size: 4
input [ { name: "NUMBERS" data_type: TYPE_INT32 dims: [ -1 ] }, { name: "TEXTS" data_type: TYPE_STRING dims: [ -1 ] } ]
output [ { name: "NUMBERS" data_type: TYPE_INT32 dims: [ -1 ] }, { name: "TEXTS" data_type: TYPE_STRING dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "SUFFIX" value: { string_value: "!" } }
"""
ECHO_CODE = """
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.suffix = config["parameters"]["SUFFIX"]["string_value"].encode()
        output = pb_utils.get_output_config_by_name(config, "NUMBERS")
        self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        numbers = pb_utils.get_input_tensor_by_name(request, "NUMBERS").as_numpy()
        texts = pb_utils.get_input_tensor_by_name(request, "TEXTS").as_numpy()
        if b"code" in texts:
            code = getattr(pb_utils.TritonError, texts[0, 1].decode())
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(request.request_id(), code))
        if b"plain" in texts:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("no"))
        if b"raise" in texts:
            raise ValueError("as told")
        if b"parameters" in texts:
            texts = np.array([[request.parameters().encode()]], object)
        outputs = [
            pb_utils.Tensor("NUMBERS", (numbers * 2).astype(self.dtype)),
            pb_utils.Tensor("TEXTS", np.array([[text + self.suffix for text in row] for row in texts], object)),
        ]
        return pb_utils.InferenceResponse(output_tensors=outputs)
"""


def write_repository(directory: Path) -> None:
    """Write the network, the ensemble around it with its step, one around that, and the code that echoes."""
    write_model(directory / "network", Pixels(), NETWORK)
    _write(directory / "network" / "labels.txt", "".join(f"{label}\n" for label in LABELS).encode())
    facts = ModelFacts(("a", "b", "c", "d", "e"), size=4)
    for path, content in ensemble_files("classify_image", "network", facts, InputForm.UINT8, max_batch_size=8):
        text = content.replace(b"KIND_CPU }", b"KIND_CPU count: 1 }") if path.endswith("pbtxt") else content
        _write(directory / path, text)
    _write(directory / "outer" / "config.pbtxt", OUTER.encode())
    _write(directory / "outer" / "1" / ".keep", b"")
    _write(directory / "echo" / "config.pbtxt", ECHO.encode())
    _write(directory / "echo" / "1" / "model.py", ECHO_CODE.encode())
    for name, (old, new) in MISFITS.items():
        config = (directory / "classify_image" / "config.pbtxt").read_text().replace('"classify_image"', f'"{name}"')
        assert old in config
        _write(directory / name / "config.pbtxt", config.replace(old, new).encode())
        _write(directory / name / "labels.txt", b"")
        _write(directory / name / "1" / ".keep", b"")


# Ensembles that do not load: what of `classify_image` is something else in them.
MISFITS = {
    "unknown_model": ('model_name: "network"', 'model_name: "nothing"'),
    "unknown_version": ('"network"\n      model_version: -1', '"network"\n      model_version: 7'),
    "unknown_input": ('key: "INPUT__0"', 'key: "INPUT__9"'),
    "unknown_output": ('key: "OUTPUT__0"', 'key: "OUTPUT__9"'),
    "other_type": ("data_type: TYPE_FP32", "data_type: TYPE_FP16"),
    "other_size": ("dims: [ 5 ]", "dims: [ 6 ]"),
    "other_rank": ("dims: [ 5 ]", "dims: [ 5, 1 ]"),
    "other_input": ("dims: [ 1 ]", "dims: [ 2 ]"),
    "large_batch": ("max_batch_size: 8", "max_batch_size: 9"),
}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
