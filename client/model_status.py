"""What a server's models are doing, from its repository index and its statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_NS_PER_SECOND = 1e9


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One version of one model.

    Attributes:
        name: The model's name.
        version: Empty when the server names none.
        state: `READY`, `UNAVAILABLE`, `LOADING`, `UNLOADING` or `UNKNOWN`.
        reason: Why it is not ready; empty when there is nothing to say.
        succeeded: Requests answered.
        failed: Requests that failed.
        inference_count: Images that were computed.
        execution_count: Batches in which they were computed.
        mean_queue_seconds: A request's mean wait for an instance; None before the first.
        mean_compute_seconds: A request's mean time in an instance; None before the first.
        mean_request_seconds: A request's mean time in the server; None before the first.
    """

    name: str
    version: str
    state: str
    reason: str = ""
    succeeded: int = 0
    failed: int = 0
    inference_count: int = 0
    execution_count: int = 0
    mean_queue_seconds: float | None = None
    mean_compute_seconds: float | None = None
    mean_request_seconds: float | None = None

    @property
    def ready(self) -> bool:
        """Whether it answers requests."""
        return self.state == "READY"

    @property
    def mean_batch(self) -> float | None:
        """Images in a batch, on average; None before the first."""
        return self.inference_count / self.execution_count if self.execution_count else None


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server and its models, sorted by name and version."""

    name: str
    version: str
    models: tuple[ModelStatus, ...]


def read_status(metadata: Any, index: Any, statistics: Any) -> ServerStatus:
    """Joins a server's `ServerMetadataResponse`, `RepositoryIndexResponse` and `ModelStatisticsResponse`.

    A model that one of the last two names and the other does not is there all the same: one that is broken has no
    statistics, and one may be loaded between the two calls.
    """
    measured = {(each.name, each.version): each for each in statistics.model_stats}
    indexed = {(each.name, each.version): each for each in index.models}
    models = [
        _model_status(name, version, indexed.get((name, version)), measured.get((name, version)))
        for name, version in sorted(measured.keys() | indexed.keys(), key=_name_and_number)
    ]
    return ServerStatus(metadata.name, metadata.version, tuple(models))


def _name_and_number(key: tuple[str, str]) -> tuple[str, int, str]:
    name, version = key
    return name, int(version) if version.isdecimal() else 0, version


def _model_status(name: str, version: str, indexed: Any, measured: Any) -> ModelStatus:
    state, reason = (indexed.state or "UNKNOWN", indexed.reason) if indexed else ("UNKNOWN", "")
    if not measured:
        return ModelStatus(name, version, state, reason)
    times = measured.inference_stats
    compute_ns = times.compute_input.ns + times.compute_infer.ns + times.compute_output.ns
    return ModelStatus(
        name=name,
        version=version,
        state=state,
        reason=reason,
        succeeded=times.success.count,
        failed=times.fail.count,
        inference_count=measured.inference_count,
        execution_count=measured.execution_count,
        mean_queue_seconds=_mean_seconds(times.queue.ns, times.queue.count),
        mean_compute_seconds=_mean_seconds(compute_ns, times.compute_infer.count),
        mean_request_seconds=_mean_seconds(times.success.ns, times.success.count),
    )


def _mean_seconds(total_ns: int, count: int) -> float | None:
    return total_ns / count / _NS_PER_SECOND if count else None
