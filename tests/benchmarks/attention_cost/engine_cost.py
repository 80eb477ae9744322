"""What each member costs in the server's engine: CPU time, which other work on the machine disturbs least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.attention_cost.rounds import turns
from tests.benchmarks.engine import LoneInstance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.benchmarks.attention_cost.costs import Settings

_EXECUTIONS = 4  # of each batch size in a round, of which the least counts
_WARM_UP_EXECUTIONS = 3  # TorchScript optimises a module while it is executed first


def engine_rounds(models: Mapping[str, Path], settings: Settings) -> dict[str, list[dict[int, float]]]:
    """Execute every member in every round.

    Args:
        models: Their directories.
        settings: How many rounds, and the seed of their orders.

    Returns:
        For each member and round, CPU milliseconds for an image by batch size.
    """
    instances = {name: LoneInstance(directory) for name, directory in models.items()}
    for instance in instances.values():
        instance.least_cpu_ms_per_image(_WARM_UP_EXECUTIONS)
    costs: dict[str, list[dict[int, float]]] = {name: [] for name in models}
    for _, name in turns(list(models), settings.engine_rounds, settings.seed):
        costs[name].append(instances[name].least_cpu_ms_per_image(_EXECUTIONS))
    return costs
