"""What models have done: since they were loaded, or between two instants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from server.histogram import LATENCY_EDGES
from server.live.quantile import Quantile, quantile, share_above

if TYPE_CHECKING:
    from server.statistics import Durations, ModelStatistics

STAGES = ("decode", "queue", "compute", "rest")


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters that are added and subtracted together.

    `latency` counts answers by the position of their bucket among `LATENCY_EDGES`, `batches` executions by their rows,
    `failures` requests that failed by Triton's reasons, `stage_ns` nanoseconds of all answers by `STAGES`.
    """

    latency: Counter[int] = field(default_factory=Counter)
    batches: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stage_ns: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, statistics: ModelStatistics) -> Counts:
        """What `statistics` say now."""
        with statistics.lock:
            return cls(
                Counter(dict(enumerate(statistics.request_seconds.counts))),
                Counter({rows: batch.count for rows, batch in statistics.batches.items()}),
                Counter(statistics.failures),
                _stages(statistics.success, round(statistics.decode_seconds.sum * 1e9)),
            )

    @classmethod
    def of_steps(cls, statistics: ModelStatistics) -> Counts:
        """The answers among them that ensembles asked for, not callers."""
        with statistics.lock:
            latency = Counter(dict(enumerate(statistics.step_seconds.counts)))
            return cls(latency, stage_ns=_stages(statistics.steps))

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self)))

    @property
    def succeeded(self) -> int:
        """Requests that were answered."""
        return self.latency.total()

    @property
    def mean_batch(self) -> float | None:
        """Mean rows of an execution; None where there was none."""
        executions = self.batches.total()
        return sum(rows * count for rows, count in self.batches.items()) / executions if executions else None

    def quantile(self, share: float) -> Quantile | None:
        """The latency in seconds that `share` of the answers did not exceed; None without answers."""
        return quantile(LATENCY_EDGES, self._buckets, share)

    def share_above(self, seconds: float) -> float:
        """The share of the answers that took longer."""
        return share_above(LATENCY_EDGES, self._buckets, seconds)

    def mean_stages(self) -> dict[str, float]:
        """Mean seconds of an answer by `STAGES`; nothing without answers."""
        return {stage: self.stage_ns[stage] / self.succeeded / 1e9 for stage in STAGES} if self.succeeded else {}

    @property
    def _buckets(self) -> list[int]:
        return [self.latency[position] for position in range(len(LATENCY_EDGES) + 1)]


def _stages(durations: Durations, decode_ns: int = 0) -> Counter[str]:
    compute_ns = durations.compute_input_ns + durations.compute_infer_ns + durations.compute_output_ns
    rest_ns = durations.request_ns - decode_ns - durations.queue_ns - compute_ns
    return Counter(dict(zip(STAGES, (decode_ns, durations.queue_ns, compute_ns, rest_ns), strict=True)))
