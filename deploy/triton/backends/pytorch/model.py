"""Triton's `pytorch` backend, as a python-based backend: what Triton calls, and what it gets back.

The wheel of Triton carries no C++ PyTorch backend. This one serves the same `config.pbtxt` and the same `1/model.pt`:
https://github.com/triton-inference-server/pytorch_backend describes their names and parameters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Sequence


class TritonPythonModel:
    """One instance of a TorchScript model; Triton runs each in a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model that the configuration names.

        Args:
            args: What Triton tells an instance: `model_config` (JSON), `model_repository` (the model's own
                directory), `model_version` and others.

        Raises:
            TritonModelException: The configuration asks for what this backend cannot do, or the model does not load.
        """
        # Here, because Triton also runs this file once per model only to complete configurations: no need of torch.
        import torchscript_model  # noqa: PLC0415

        directory = Path(args["model_repository"]) / args["model_version"]
        try:
            self._model = torchscript_model.TorchScriptModel(json.loads(args["model_config"]), directory)
        except torchscript_model.ModelError as error:
            raise pb_utils.TritonModelException(str(error)) from error
        self._model_error = torchscript_model.ModelError

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests of one batch, in order: one forward pass for all that still have a caller.

        Raises:
            TritonModelException: The pass failed. Raised, not answered one by one: Triton's python backend counts
                a request that is answered with an error as a success.
        """
        cancelled = [request.is_cancelled() for request in requests]
        live = [request for request, gone in zip(requests, cancelled, strict=True) if not gone]
        answers = iter(self._answer(live) if live else [])
        return [_cancelled() if gone else next(answers) for gone in cancelled]

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        # DLPack both ways: Triton's own conversion to numpy breaks silently with numpy 2.
        names = self._model.input_names
        arguments = [[pb_utils.get_input_tensor_by_name(request, name) for name in names] for request in requests]
        try:
            results = self._model.forward(arguments)
        except self._model_error as error:
            raise pb_utils.TritonModelException(str(error)) from error
        return [pb_utils.InferenceResponse(list(map(_tensor, self._model.output_dtypes, rows))) for rows in results]


def _tensor(name: str, values: Any) -> Any:
    return pb_utils.Tensor.from_dlpack(name, values)


def _cancelled() -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError("cancelled", pb_utils.TritonError.CANCELLED))
