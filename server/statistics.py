"""What a model version has done: the numbers behind ModelStatistics and the metrics.

Semantics are Triton's: durations grow for requests that succeeded, each of them is charged the whole duration of its
batch; the count of images grows with the requests that succeeded, that of executions with the batches.
"""

from __future__ import annotations

import math
import threading
import time
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.histogram import STAGE_EDGES, Histogram

if TYPE_CHECKING:
    from server.instance import Execution, Reply

FAILURE_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
_CONFIDENCE_EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(slots=True)
class Durations:
    """How often something happened and how long its parts took in all, in nanoseconds."""

    count: int = 0
    request_ns: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0

    def add(self, execution: Execution[Any], request_ns: int = 0, queue_ns: int = 0) -> None:
        """Count one more."""
        self.count += 1
        self.request_ns += request_ns
        self.queue_ns += queue_ns
        self.compute_input_ns += execution.input_ready_ns - execution.started_ns
        self.compute_infer_ns += execution.computed_ns - execution.input_ready_ns
        self.compute_output_ns += execution.finished_ns - execution.computed_ns


class ModelStatistics:
    """Counters of one model version. Threads of instances and of the network write; whoever reads takes `lock`.

    Each request that is `accepted` ends as one that `succeeded` or `failed`; until then it is in flight.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last_inference_ms = 0
        self.accepted_count = 0
        self.inference_count = 0
        self.execution_count = 0
        self.success = Durations()
        self.fail = Durations()
        self.steps = Durations()  # of those that succeeded, the ones that an ensemble asked for
        self.failures = dict.fromkeys(FAILURE_REASONS, 0)
        self.batches: dict[int, Durations] = {}
        self.request_seconds = Histogram()
        self.failed_seconds = Histogram()
        self.step_seconds = Histogram()
        self.decode_seconds = Histogram(STAGE_EDGES)
        self.queue_seconds = Histogram(STAGE_EDGES)
        self.compute_input_seconds = Histogram(STAGE_EDGES)
        self.compute_seconds = Histogram(STAGE_EDGES)
        self.compute_output_seconds = Histogram(STAGE_EDGES)
        self.predictions: dict[str, int] = {}
        self.confidence = Histogram(_CONFIDENCE_EDGES)

    @property
    def in_flight(self) -> int:
        """Requests that were accepted and have not ended."""
        return self.accepted_count - self.success.count - self.fail.count

    def accepted(self) -> None:
        """Count one request, which is to end as a success or as a failure."""
        with self.lock:
            self.accepted_count += 1

    def executed(self, rows: int, execution: Execution[Any]) -> None:
        """Count one execution of a batch of `rows` rows."""
        with self.lock:
            self.execution_count += 1
            self.last_inference_ms = time.time_ns() // 1_000_000
            self.batches.setdefault(rows, Durations()).add(execution)

    def succeeded(self, rows: int, reply: Reply[Any], request_ns: int, request_id: str = "") -> None:
        """Count one request of `rows` rows that was answered `request_ns` after it came."""
        execution = reply.execution
        queue_ns = execution.started_ns - reply.arrived_ns
        with self.lock:
            self.inference_count += rows
            self.success.add(execution, request_ns, queue_ns)
            self.request_seconds.observe(request_ns / 1e9, request_id=request_id)
            self.queue_seconds.observe(queue_ns / 1e9)
            self.compute_input_seconds.observe((execution.input_ready_ns - execution.started_ns) / 1e9)
            self.compute_seconds.observe((execution.computed_ns - execution.input_ready_ns) / 1e9)
            self.compute_output_seconds.observe((execution.finished_ns - execution.computed_ns) / 1e9)

    def was_step(self, reply: Reply[Any], request_ns: int) -> None:
        """Tell of one that `succeeded` that an ensemble asked for it: callers asked for the ensemble."""
        with self.lock:
            self.steps.add(reply.execution, request_ns, reply.execution.started_ns - reply.arrived_ns)
            self.step_seconds.observe(request_ns / 1e9)

    def failed(self, reason: str, request_ns: int, request_id: str = "") -> None:
        """Count one request that failed for one of `FAILURE_REASONS`, `request_ns` after it came."""
        with self.lock:
            self.fail.count += 1
            self.fail.request_ns += request_ns
            self.failures[reason] += 1
            self.failed_seconds.observe(request_ns / 1e9, request_id=request_id)

    def decoded(self, duration_ns: int) -> None:
        """Count one image that was decoded."""
        with self.lock:
            self.decode_seconds.observe(duration_ns / 1e9)

    def predicted(self, label: str, probability: float) -> None:
        """Count one image by the label of its likeliest class, which may have none."""
        with self.lock:
            self.predictions[label] = self.predictions.get(label, 0) + 1
            if math.isfinite(probability):
                self.confidence.observe(probability)

    def snapshot(self) -> ModelStatistics:
        """All numbers as they were at one instant, for a reader that takes its time."""
        snapshot = ModelStatistics()
        with self.lock:
            for name, value in vars(self).items():
                if name != "lock":
                    setattr(snapshot, name, value.copy() if isinstance(value, Histogram) else copy(value))
            snapshot.batches = {rows: copy(batch) for rows, batch in self.batches.items()}
        return snapshot
