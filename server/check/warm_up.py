"""Triton's `model_warmup`: requests that it runs before a model is ready, and does not load the model if they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonclient.grpc import model_config_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.check.finding import Fault

_MOST_SIZES_TOLD = 8


def faults(config: Any, directory: Path) -> Iterator[Fault]:
    """Warm-ups that are no requests of the model in `directory`."""
    tensors = {tensor.name: tensor for tensor in config.input}
    for index, warm_up in enumerate(config.model_warmup):
        path = f"model_warmup[{index}]"
        if not warm_up.batch_size or config.max_batch_size < 0:
            continue
        if warm_up.batch_size > max(1, config.max_batch_size):
            yield (
                path,
                f"model_warmup has batch_size {warm_up.batch_size}, which is above max_batch_size: Triton may crash",
            )
        if missing := sorted(tensors.keys() - warm_up.inputs.keys()):
            yield path, f"model_warmup has no input {', '.join(missing)}"
        for name, data in sorted(warm_up.inputs.items()):
            if name in tensors:
                yield from ((path, f'model_warmup: input "{name}" {text}') for text in _misfits(data, tensors[name]))
            file = directory / "warmup" / data.input_data_file
            if data.input_data_file and not file.is_file():
                yield path, f'model_warmup: there is no file "warmup/{data.input_data_file}"'


def cold_sizes(config: Any) -> Iterator[Fault]:
    """Sizes of batches that stay cold."""
    warm = {warm_up.batch_size for warm_up in config.model_warmup}
    cold = [str(size) for size in range(1, max(1, config.max_batch_size) + 1) if size not in warm]
    if cold:
        sizes = ", ".join(cold[:_MOST_SIZES_TOLD]) + (", ..." if len(cold) > _MOST_SIZES_TOLD else "")
        yield "model_warmup", f"model_warmup has no batch size {sizes}: the first such batch is slow under Triton"


def _misfits(data: Any, tensor: Any) -> Iterator[str]:
    if data.data_type != tensor.data_type:
        yield f"has {model_config_pb2.DataType.Name(tensor.data_type)}"
    if min(data.dims, default=1) < 0:
        yield "needs dims that are all given"
    fits = len(data.dims) == len(tensor.dims) and all(b in (-1, a) for a, b in zip(data.dims, tensor.dims, strict=True))
    if not fits:
        yield f"has dims {list(tensor.dims)}"
