"""What the server's counters and gauges say at one instant."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.live.counts import Counts
from server.live.outcomes import by_outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from server.live.host import HostReading
    from server.model import ModelVersion
    from server.statistics import ModelStatistics


@dataclass(frozen=True, slots=True)
class ModelReading:
    """One model version; `statistics` are its identity: one that is loaded again takes over its predecessor's.

    One that was unloaded before starts anew. Of what `counts` tell, `steps` are what ensembles asked for.
    """

    name: str
    version: int
    statistics: ModelStatistics
    counts: Counts
    steps: Counts
    waiting: int
    capacity: int
    busy: int
    instances: int

    @classmethod
    def of(cls, model: ModelVersion) -> ModelReading:
        """The state of `model` now."""
        return cls(
            name=model.config.name,
            version=model.version,
            statistics=model.statistics,
            counts=Counts.of(model.statistics),
            steps=Counts.of_steps(model.statistics),
            waiting=model.batcher.waiting,
            capacity=model.queue_capacity,
            busy=model.batcher.busy,
            instances=model.instances,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """All of them; `at` is an instant of `time.monotonic`, `lag_seconds` how late the event loop was before it."""

    models: Sequence[ModelReading]
    refused: Counter[str]
    host: HostReading
    lag_seconds: float = 0.0
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Activity:
    """What has happened between two readings; `models` as they are in the later one, with what they did meanwhile.

    `asked` is what callers asked for, of all models together: no step of an ensemble, and executions of none.
    `process_cores` is how many cores the process kept busy, `machine_share` how much of the machine's all together.
    """

    seconds: float
    models: Sequence[tuple[ModelReading, Counts]]
    asked: Counts
    refused: Counter[str]
    process_cores: float
    machine_share: float

    @property
    def outcomes(self) -> dict[str, int]:
        """Requests that ended, by `OUTCOMES`."""
        return by_outcome(self.asked.succeeded, self.refused)


def between(earlier: Reading, later: Reading) -> Activity:
    """What has happened from `earlier` to `later`."""
    known = {model.statistics: model for model in earlier.models}
    before, after = earlier.host, later.host
    seconds = max(later.at - earlier.at, 1e-9)
    machine_seconds = after.machine_seconds - before.machine_seconds
    done = [(model, *_since(known.get(model.statistics), model)) for model in later.models]
    return Activity(
        seconds=seconds,
        models=[(model, counts) for model, counts, _ in done],
        asked=asked_for(done),
        refused=later.refused - earlier.refused,
        process_cores=(after.process_seconds - before.process_seconds) / seconds,
        machine_share=(after.busy_seconds - before.busy_seconds) / machine_seconds if machine_seconds > 0 else 0.0,
    )


def asked_for(done: Iterable[tuple[ModelReading, Counts, Counts]]) -> Counts:
    """What callers asked for, from models, what they did, and what of it were steps of ensembles."""
    total = Counts()
    for model, counts, steps in done:
        asked = counts - steps
        total += asked if model.instances else replace(asked, batches=Counter())  # an ensemble runs nothing itself
    return total


def _since(earlier: ModelReading | None, model: ModelReading) -> tuple[Counts, Counts]:
    if earlier is None:
        return model.counts, model.steps
    return model.counts - earlier.counts, model.steps - earlier.steps
