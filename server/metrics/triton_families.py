"""Triton's families, under its names and with its semantics.

https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from server.metrics.family import Family, label_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.metrics.scraped_model import ScrapedModel
    from server.statistics import ModelStatistics

_COUNTERS: dict[str, tuple[str, Callable[[ModelStatistics], int]]] = {
    "nv_inference_request_success": (
        "Number of successful inference requests, all batch sizes",
        lambda statistics: statistics.success.count,
    ),
    "nv_inference_count": (
        "Number of inferences performed (does not include cached requests)",
        lambda statistics: statistics.inference_count,
    ),
    "nv_inference_exec_count": (
        "Number of model executions performed (does not include cached requests)",
        lambda statistics: statistics.execution_count,
    ),
    "nv_inference_request_duration_us": (
        "Cumulative inference request duration in microseconds (includes cached requests)",
        lambda statistics: statistics.success.request_ns // 1000,
    ),
    "nv_inference_queue_duration_us": (
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        lambda statistics: statistics.success.queue_ns // 1000,
    ),
    "nv_inference_compute_input_duration_us": (
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        lambda statistics: statistics.success.compute_input_ns // 1000,
    ),
    "nv_inference_compute_infer_duration_us": (
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        lambda statistics: statistics.success.compute_infer_ns // 1000,
    ),
    "nv_inference_compute_output_duration_us": (
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
        lambda statistics: statistics.success.compute_output_ns // 1000,
    ),
}


def model_families(models: Sequence[ScrapedModel]) -> Iterator[Family]:
    """The families of `models`."""
    for name, (text, value) in _COUNTERS.items():
        family = Family(name, "counter", text)
        for model in models:
            family.add(model.labels, value(model.statistics))
        yield family
    yield _failures(models)
    pending = Family(
        "nv_inference_pending_request_count",
        "gauge",
        "Instantaneous number of pending requests awaiting execution per-model.",
    )
    load = Family("nv_model_load_duration_secs", "gauge", "Model load time in seconds")
    for model in models:
        pending.add(model.labels, model.waiting)
        load.add(model.labels, model.load_seconds)
    yield from (pending, load)


def _failures(models: Sequence[ScrapedModel]) -> Family:
    family = Family("nv_inference_request_failure", "counter", "Number of failed inference requests, all batch sizes")
    for model in models:
        for reason, count in model.statistics.failures.items():
            family.add(label_pairs(model=model.name, reason=reason, version=model.version), count)
    return family


def machine_families() -> Iterator[Family]:
    """The families of the machine; utilisation is since this thread's last call."""
    memory = psutil.virtual_memory()
    gauges = (
        ("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", psutil.cpu_percent(None) / 100),
        ("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", memory.total),
        ("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", memory.used),
    )
    for name, text, value in gauges:
        family = Family(name, "gauge", text)
        family.add("", value)
        yield family
