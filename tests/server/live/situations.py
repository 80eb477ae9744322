"""What the rules of the verdict look at, made by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from server.histogram import LATENCY_EDGES
from server.live.counts import Counts
from server.live.reading import Activity, ModelReading, asked_for
from server.live.situation import Phase, Situation
from server.model_states import IndexEntry, State
from server.statistics import ModelStatistics

SECONDS = 10.0


def counts(fast: int = 0, slow: int = 0, stage: str = "compute", **failures: int) -> Counts:
    """Answers within 10 ms and within 300 ms, whose time went to one stage; failures by Triton's reasons."""
    fast_bucket, slow_bucket = LATENCY_EDGES.index(0.01), LATENCY_EDGES.index(0.3)
    return Counts(
        latency=Counter({fast_bucket: fast, slow_bucket: slow}),
        batches=Counter({1: fast + slow}),
        failures=Counter(failures),
        stage_ns=Counter({stage: fast * 8_000_000 + slow * 250_000_000}),
    )


def model(name: str = "net", **state: int) -> ModelReading:
    """A model that is ready; `state` is any of its gauges."""
    gauges = {"waiting": 0, "capacity": 64, "busy": 0, "instances": 2} | state
    return ModelReading(name, 1, ModelStatistics(), Counts(), Counts(), **gauges)


def situation(
    *models: tuple[ModelReading, Counts],
    refused: dict[str, int] | None = None,
    index: list[IndexEntry] | None = None,
    process_cores: float = 0.5,
    machine_share: float = 0.5,
    **more: Any,
) -> Situation:
    """Ten seconds of a server that serves; `more` replaces any other field."""
    asked = asked_for((reading, done, Counts()) for reading, done in models)
    activity = Activity(SECONDS, list(models), asked, Counter(refused or {}), process_cores, machine_share)
    entries = [IndexEntry(reading.name, 1, State.READY, "") for reading, _ in models] + (index or [])
    fields: dict[str, Any] = {
        "phase": Phase.SERVING,
        "index": entries,
        "ended": [],
        "activity": activity,
        "objective_seconds": 0.1,
        "cores": 2,
        "lag_seconds": 0.001,
        "resident_bytes": [],
        "usual_compute_seconds": {},
    }
    return Situation(**(fields | more))
