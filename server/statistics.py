"""What a model version has done: the numbers behind ModelStatistics and the `nv_inference_*` metrics.

Semantics are Triton's: durations grow for requests that succeeded, each of them is charged the whole duration of its
batch, counts of images and of executions grow with the batches.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.histogram import Histogram

if TYPE_CHECKING:
    from server.instance import Execution, Reply

FAILURE_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")


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
    """Counters of one model version. Threads of instances and of the network write; whoever reads takes `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last_inference_ms = 0
        self.inference_count = 0
        self.execution_count = 0
        self.success = Durations()
        self.fail = Durations()
        self.failures = dict.fromkeys(FAILURE_REASONS, 0)
        self.batches: dict[int, Durations] = {}
        self.request_seconds = Histogram()
        self.queue_seconds = Histogram()
        self.compute_seconds = Histogram()
        self.load_seconds = 0.0

    def executed(self, rows: int, execution: Execution[Any]) -> None:
        """Count one execution of a batch of `rows` rows."""
        with self.lock:
            self.execution_count += 1
            self.last_inference_ms = time.time_ns() // 1_000_000
            self.batches.setdefault(rows, Durations()).add(execution)

    def succeeded(self, rows: int, reply: Reply[Any], finished_ns: int) -> None:
        """Count one request of `rows` rows that was answered at `finished_ns`."""
        execution = reply.execution
        request_ns = finished_ns - reply.arrived_ns
        queue_ns = execution.started_ns - reply.arrived_ns
        with self.lock:
            self.inference_count += rows
            self.success.add(execution, request_ns, queue_ns)
            self.request_seconds.observe(request_ns / 1e9)
            self.queue_seconds.observe(queue_ns / 1e9)
            self.compute_seconds.observe((execution.finished_ns - execution.started_ns) / 1e9)

    def failed(self, reason: str, request_ns: int) -> None:
        """Count one request that failed for one of `FAILURE_REASONS`, `request_ns` after it came."""
        with self.lock:
            self.fail.count += 1
            self.fail.request_ns += request_ns
            self.failures[reason] += 1
