"""A TorchScript module with the names, order and dtypes that `config.pbtxt` gives its inputs and outputs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.dlpack import from_dlpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TORCH_DTYPES = {
    "TYPE_BOOL": torch.bool,
    "TYPE_UINT8": torch.uint8,
    "TYPE_INT8": torch.int8,
    "TYPE_INT16": torch.int16,
    "TYPE_INT32": torch.int32,
    "TYPE_INT64": torch.int64,
    "TYPE_FP16": torch.float16,
    "TYPE_FP32": torch.float32,
    "TYPE_FP64": torch.float64,
}
_INDEX = re.compile("[0-9]{1,9}")


class ModelError(Exception):
    """The model does not load, or a forward pass failed; the message is for whoever runs the server."""


class TorchScriptModel:
    """Runs batches through one TorchScript file.

    Attributes:
        input_names: The inputs in the order of the module's arguments.
        output_dtypes: The outputs' names, in the order in which the module returns them, and their dtypes.
    """

    def __init__(self, config: dict[str, Any], version_directory: Path) -> None:
        """Load `model.pt`, or the file that `default_model_filename` names.

        Args:
            config: The model's configuration as JSON, with Triton's defaults filled in.
            version_directory: Where the file lies.

        Raises:
            ModelError: An input or output is missing or of a type PyTorch lacks, or the file does not load.
        """
        if not config["input"] or not config["output"]:
            raise ModelError("config.pbtxt must name the model's inputs and outputs")
        torch.set_num_threads(intra_op_threads(config))
        input_dtypes = {tensor["name"]: _dtype(tensor) for tensor in config["input"]}
        output_dtypes = {tensor["name"]: _dtype(tensor) for tensor in config["output"]}
        self.output_dtypes = {name: output_dtypes[name] for name in in_argument_order(list(output_dtypes), [])}
        path = version_directory / (config.get("default_model_filename") or "model.pt")
        try:
            self._module = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(f"failed to load {path.name}: {error}") from error
        self.input_names = in_argument_order(list(input_dtypes), self._argument_names())

    def _argument_names(self) -> list[str]:
        if not hasattr(self._module, "forward"):
            raise ModelError("the module has no method forward")
        return [argument.name for argument in self._module.forward.schema.arguments[1:]]

    @torch.inference_mode()
    def forward(self, requests: Sequence[Sequence[Any]]) -> list[list[torch.Tensor]]:
        """Run the requests as one batch.

        Args:
            requests: For each request its arguments, in the order of `input_names`; anything that speaks DLPack.
                Several requests only where the first dimension of every argument is the batch.

        Returns:
            For each request its outputs, in the order of `output_dtypes`, contiguous: its own rows of the batch's.

        Raises:
            ModelError: The module failed, or its outputs are not those of the configuration.
        """
        arguments = [[from_dlpack(tensor) for tensor in tensors] for tensors in requests]
        if len(arguments) == 1:
            return [self._call(arguments[0])]
        outputs = self._call(_concatenated(arguments))
        counts = [len(tensors[0]) for tensors in arguments]
        return [list(rows) for rows in zip(*(output.split_with_sizes(counts) for output in outputs), strict=True)]

    def _call(self, arguments: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        try:
            result = self._module(*arguments)
        except (RuntimeError, torch.jit.Error) as error:
            raise ModelError(f"PyTorch execute failure: {error}") from error
        outputs = [result] if isinstance(result, torch.Tensor) else list(result)
        if len(outputs) < len(self.output_dtypes):
            raise ModelError(f"the model returned {len(outputs)} outputs, expected {len(self.output_dtypes)}")
        for (name, dtype), output in zip(self.output_dtypes.items(), outputs, strict=False):
            if output.dtype != dtype:
                raise ModelError(f"unexpected datatype {output.dtype} for inference output '{name}', expecting {dtype}")
        return [output.contiguous() for output in outputs[: len(self.output_dtypes)]]


def _concatenated(requests: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    try:
        return [torch.cat(tensors) for tensors in zip(*requests, strict=True)]
    except RuntimeError as error:
        raise ModelError(f"requests that do not fit into one batch: {error}") from error


def intra_op_threads(config: dict[str, Any]) -> int:
    """Return INTRA_OP_THREAD_COUNT, or an instance's share of the cores that this process may use."""
    parameter = config.get("parameters", {}).get("INTRA_OP_THREAD_COUNT")
    if parameter is not None:
        return int(parameter["string_value"])
    instances = int(sum(group["count"] for group in config["instance_group"]))
    return max(1, len(os.sched_getaffinity(0)) // instances)


def in_argument_order(names: list[str], arguments: list[str]) -> list[str]:
    """Put the names of inputs, or of outputs with no `arguments`, into the order of the module.

    They are the arguments' names, or all like `NAME__INDEX` with the indices from 0 on; others keep the
    configuration's order. What follows the first two underscores is the index.
    """
    if arguments and sorted(names) == sorted(arguments):
        return arguments
    indices = [int(index) for _, _, index in (name.partition("__") for name in names) if _INDEX.fullmatch(index)]
    if sorted(indices) != list(range(len(names))):
        return names
    return [name for _, name in sorted(zip(indices, names, strict=True))]


def _dtype(tensor: dict[str, Any]) -> torch.dtype:
    if tensor["data_type"] not in TORCH_DTYPES:
        raise ModelError(f"'{tensor['name']}': PyTorch has no counterpart of {tensor['data_type']}")
    return TORCH_DTYPES[tensor["data_type"]]
