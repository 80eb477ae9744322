"""The engine: TorchScript modules, each executed by the threads of its instances.

A request's bytes are copied once, straight into the instance's input buffer; the rows of the output are views.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import torch

from server.errors import ModelFailed
from server.instance import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from server.model_config import ModelConfig
    from server.tensor_types import TensorSpec

# One buffer of bytes for each input, in the order of config.pbtxt.
Payload = tuple[Any, ...]
# One array for each output, in the order of config.pbtxt: [rows, *dims], or [*dims] where the model does not batch.
Result = tuple["NDArray[np.generic]", ...]

_TORCH_TYPES = {
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "UINT16": torch.uint16,
    "UINT32": torch.uint32,
    "UINT64": torch.uint64,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "FP32": torch.float32,
    "FP64": torch.float64,
    "BF16": torch.bfloat16,
}
_INDEX = re.compile("[0-9]{1,9}")


class EngineError(Exception):
    """A model file that cannot be loaded, or is not what its config.pbtxt says; the message is for the operator."""


class TorchScriptModel:
    """A loaded module, shared by the instances of one model version."""

    def __init__(self, path: Path, config: ModelConfig) -> None:
        """Load `path`.

        Raises:
            EngineError: it is missing or no TorchScript archive, or its inputs are not those of `config`.
        """
        self.config = config
        try:
            if not path.is_file():
                raise EngineError(f"{path.name} is missing")
            self.module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call] # torch's
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"{path.name} is no TorchScript module that can be loaded") from error
        positions = _positions(config.inputs, self._argument_names())
        self.input_order = sorted(range(len(positions)), key=positions.__getitem__)
        self.output_order = _positions(config.outputs, [])

    def _argument_names(self) -> list[str]:
        if not hasattr(self.module, "forward"):
            raise EngineError("the module has no method forward")
        names = [argument.name for argument in self.module.forward.schema.arguments[1:]]
        if len(names) != len(self.config.inputs):
            raise EngineError(f"the module takes {len(names)} inputs, config.pbtxt has {len(self.config.inputs)}")
        return names


class TorchScriptInstance:
    """One executor: the shared module with input buffers of its own, used by one thread."""

    def __init__(self, model: TorchScriptModel, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._bytes: list[memoryview] = []
        self._views: list[list[torch.Tensor]] = []
        # Of what the next batch may overwrite: the inputs, and what the module keeps.
        self._storages = {tensor.untyped_storage().data_ptr() for tensor in model.module.buffers()}

    def open(self) -> None:
        """Bind this thread's share of the cores and allocate the buffers: [max_rows, *dims] for each input."""
        torch.set_num_threads(self._threads)  # OpenMP's setting belongs to the thread that makes it
        config, buffers = self._model.config, []
        for spec in config.inputs:
            shape = (config.max_rows, *spec.dims) if config.batches else spec.dims
            buffer = torch.zeros(shape, dtype=_TORCH_TYPES[spec.datatype])
            buffers.append(buffer)
            self._bytes.append(buffer.reshape(-1).view(torch.uint8).numpy().data)
            self._storages.add(buffer.untyped_storage().data_ptr())
        # Made once: each torch call gives the interpreter away and may have to wait to get it back.
        arguments = [buffers[position] for position in self._model.input_order]
        sizes = range(config.max_rows + 1) if config.batches else ()
        self._views = [[buffer[:rows] for buffer in arguments] for rows in sizes] or [arguments, arguments]

    def warm_up(self, rows: int) -> bool:
        """Run a batch of `rows` rows of zeros."""
        payload = tuple(bytes(rows * spec.row_bytes) for spec in self._model.config.inputs)
        self.run([payload], [rows])
        return True

    def run_sample(self, tensors: Sequence[NDArray[Any]], rows: int) -> None:
        """Run a batch of `rows` requests that are all alike.

        Raises:
            Exception: as `run`.
        """
        self.run([tuple(tensor.tobytes() for tensor in tensors)] * rows, [1] * rows)

    def run(self, payloads: Sequence[Payload], rows: Sequence[int]) -> Execution[Result]:
        """Run one batch.

        Raises:
            ModelFailed: the outputs are not those that config.pbtxt promises.
            Exception: whatever the module raises.
        """
        started_ns = time.monotonic_ns()
        self._gather(payloads)
        input_ready_ns = time.monotonic_ns()
        outputs = self._forward(sum(rows))
        computed_ns = time.monotonic_ns()
        results = self._scatter(outputs, rows)
        return Execution(results, started_ns, input_ready_ns, computed_ns, time.monotonic_ns())

    def close(self) -> None:
        """Nothing: the buffers go with the instance."""

    def _gather(self, payloads: Sequence[Payload]) -> None:
        for position, target in enumerate(self._bytes):
            offset = 0
            for payload in payloads:
                data = payload[position]
                end = offset + len(data)
                target[offset:end] = data
                offset = end

    def _forward(self, rows: int) -> list[torch.Tensor]:
        model = self._model
        with torch.inference_mode():
            outputs = model.module(*self._views[rows])
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        if not isinstance(outputs, tuple | list):
            raise ModelFailed(f"the model gave a {type(outputs).__name__} instead of tensors")
        if len(outputs) != len(model.output_order):
            raise ModelFailed(f"the model gave {len(outputs)} outputs instead of {len(model.output_order)}")
        ordered = [outputs[position] for position in model.output_order]
        for output, spec in zip(ordered, model.config.outputs, strict=True):
            _check_output(output, spec, rows if model.config.batches else None)
        return [self._owned(output) for output in ordered]

    def _owned(self, output: torch.Tensor) -> torch.Tensor:
        """A contiguous output that the next batch cannot overwrite: it may be an input, or what the module keeps."""
        if output.untyped_storage().data_ptr() in self._storages:
            return output.clone(memory_format=torch.contiguous_format)
        return output if output.is_contiguous() else output.contiguous()

    def _scatter(self, outputs: Sequence[torch.Tensor], rows: Sequence[int]) -> list[Result]:
        arrays = [_to_numpy(output) for output in outputs]
        if not self._model.config.batches:
            return [tuple(arrays)]
        results, start = [], 0
        for count in rows:
            results.append(tuple(array[start : start + count] for array in arrays))
            start += count
        return results


def _check_output(output: object, spec: TensorSpec, rows: int | None) -> None:
    if not isinstance(output, torch.Tensor):
        raise ModelFailed(f"output {spec.name} of the model is no tensor")
    if output.dtype != _TORCH_TYPES[spec.datatype]:
        raise ModelFailed(f"output {spec.name} of the model has type {output.dtype}, config.pbtxt says {spec.datatype}")
    expected = spec.dims if rows is None else (rows, *spec.dims)
    shape = tuple(output.shape)
    if len(shape) != len(expected) or any(e not in (-1, s) for s, e in zip(shape, expected, strict=True)):
        raise ModelFailed(f"output {spec.name} of the model has shape {list(shape)}, expected {list(expected)}")


def _to_numpy(output: torch.Tensor) -> NDArray[np.generic]:
    if output.dtype == torch.bfloat16:
        output = output.view(torch.uint16)
    return output.numpy()


def _positions(tensors: Sequence[TensorSpec], arguments: Sequence[str]) -> list[int]:
    """For each of `tensors`, which argument (or result) of the module it is.

    Triton's convention: by argument name if all match, else by the index in `NAME__INDEX`, else in config order.
    """
    names = [tensor.name for tensor in tensors]
    if arguments and sorted(names) == sorted(arguments):
        return [arguments.index(name) for name in names]
    indices = [index for name in names if (index := index_in_name(name)) is not None]
    in_order = list(range(len(names)))
    return indices if sorted(indices) == in_order else in_order


def index_in_name(name: str) -> int | None:
    """The INDEX of a tensor's name `NAME__INDEX`: the text behind the first two underscores, if it is a number."""
    _, _, index = name.partition("__")
    return int(index) if _INDEX.fullmatch(index) else None
