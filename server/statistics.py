"""What a model version has done: the numbers behind ModelStatistics and the `nv_inference_*` metrics.

Semantics are Triton's: durations grow for requests that succeeded, each of them is charged the whole duration of its
batch, counts of images and of executions grow with the batches.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.histogram import Histogram

if TYPE_CHECKING:
    from server.batching import Execution, Reply

FAILURE_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")


@dataclass(slots=True)
class Duration:
    """How often something happened and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Count one more, of `ns` nanoseconds."""
        self.count += 1
        self.ns += ns


@dataclass(slots=True)
class BatchSizeStatistics:
    """The three parts of the executions of one batch size."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


class ModelStatistics:
    """Counters of one model version. Threads of instances and of the network write, anybody reads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last_inference_ms = 0
        self.inference_count = 0
        self.execution_count = 0
        self.success = Duration()
        self.fail = Duration()
        self.queue = Duration()
        self.compute_input = Duration()
        self.compute_infer = Duration()
        self.compute_output = Duration()
        self.failures = dict.fromkeys(FAILURE_REASONS, 0)
        self.batches: dict[int, BatchSizeStatistics] = {}
        self.request_seconds = Histogram()
        self.stage_seconds = {"queue": Histogram(), "compute": Histogram()}
        self.load_seconds = 0.0

    def executed(self, rows: int, execution: Execution[Any]) -> None:
        """Count one execution of a batch of `rows` rows."""
        with self.lock:
            self.execution_count += 1
            self.last_inference_ms = time.time_ns() // 1_000_000
            batch = self.batches.setdefault(rows, BatchSizeStatistics())
            batch.compute_input.add(execution.input_ready_ns - execution.started_ns)
            batch.compute_infer.add(execution.computed_ns - execution.input_ready_ns)
            batch.compute_output.add(execution.finished_ns - execution.computed_ns)

    def succeeded(self, rows: int, reply: Reply[Any], finished_ns: int) -> None:
        """Count one request of `rows` rows that was answered at `finished_ns`."""
        execution = reply.execution
        with self.lock:
            self.inference_count += rows
            self.success.add(finished_ns - reply.arrived_ns)
            self.queue.add(execution.started_ns - reply.arrived_ns)
            self.compute_input.add(execution.input_ready_ns - execution.started_ns)
            self.compute_infer.add(execution.computed_ns - execution.input_ready_ns)
            self.compute_output.add(execution.finished_ns - execution.computed_ns)
            self.request_seconds.observe((finished_ns - reply.arrived_ns) / 1e9)
            self.stage_seconds["queue"].observe((execution.started_ns - reply.arrived_ns) / 1e9)
            self.stage_seconds["compute"].observe((execution.finished_ns - execution.started_ns) / 1e9)

    def failed(self, reason: str, ns: int) -> None:
        """Count one request that failed for one of `FAILURE_REASONS`, `ns` nanoseconds after it came."""
        with self.lock:
            self.fail.add(ns)
            self.failures[reason] += 1
