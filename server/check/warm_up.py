"""`model_warmup`: requests that are run before a model is ready, which is not loaded if they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server import model_warmup
from server.warm_up import measured_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.check.finding import Fault

_MOST_SIZES_TOLD = 8


def faults(config: Any, directory: Path) -> Iterator[Fault]:
    """Warm-ups that are no requests of the model in `directory`."""
    return ((f"model_warmup[{index}]", text) for index, text in model_warmup.faults(config, directory))


def cold_sizes(config: Any) -> Iterator[Fault]:
    """Sizes of batches that stay cold, of those which this server warms up of its own accord."""
    warm = {warm_up.batch_size for warm_up in config.model_warmup}
    cold = [str(size) for size in measured_sizes(max(1, config.max_batch_size)) if size not in warm]
    if cold:
        sizes = ", ".join(cold[:_MOST_SIZES_TOLD]) + (", ..." if len(cold) > _MOST_SIZES_TOLD else "")
        yield "model_warmup", f"model_warmup has no batch size {sizes}: the first such batch is slow under Triton"
