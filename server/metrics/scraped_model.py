"""A model version at one instant, so that all families of one page tell of the same one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.metrics.family import label_pairs

if TYPE_CHECKING:
    from server.model import ModelVersion
    from server.statistics import ModelStatistics


@dataclass(frozen=True, slots=True)
class ScrapedModel:
    """What the page tells of a model version; `labels` are its name and version as they stand between braces.

    `classes` are the labels of its first output.
    """

    name: str
    version: str
    labels: str
    classes: tuple[str, ...]
    statistics: ModelStatistics
    load_seconds: float
    queue_capacity: int
    waiting: int
    instances: int
    busy: int
    busy_seconds: float

    @classmethod
    def of(cls, model: ModelVersion) -> ScrapedModel:
        """Read `model` now."""
        name, version = model.config.name, str(model.version)
        return cls(
            name=name,
            version=version,
            labels=label_pairs(model=name, version=version),
            classes=tuple(model.config.labels[model.config.outputs[0].name]),
            statistics=model.statistics.snapshot(),
            load_seconds=model.load_seconds,
            queue_capacity=model.queue_capacity,
            waiting=model.batcher.waiting,
            instances=model.instances,
            busy=model.batcher.busy,
            busy_seconds=model.batcher.busy_seconds,
        )
