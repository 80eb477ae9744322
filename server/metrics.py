"""The page at /metrics: Triton's families under Triton's names, and ours for what Triton does not tell.

Triton's counters lack the `_total` that Prometheus's library insists on, so these lines are written here; the rest is
the library's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from server.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from server.model import ModelVersion
    from server.repository import ModelRepository
    from server.statistics import ModelStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BATCH_EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

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


def render(registry: CollectorRegistry, repository: ModelRepository) -> bytes:
    """The whole page, in Prometheus's text format."""
    return "".join(_triton_lines(repository.ready())).encode() + generate_latest(registry)


def new_registry(repository: ModelRepository, version: str) -> CollectorRegistry:
    """A registry with the process's own metrics and those of the models of `repository`."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, _ModelCollector(repository, version)):
        registry.register(collector)
    return registry


def _triton_lines(models: list[ModelVersion]) -> Iterator[str]:
    for name, (text, value) in _COUNTERS.items():
        yield from _family(name, "counter", text, ((_labels(model), value(model.statistics)) for model in models))
    failures = (
        (_labels(model, reason=reason), count)
        for model in models
        for reason, count in model.statistics.failures.items()
    )
    yield from _family(
        "nv_inference_request_failure", "counter", "Number of failed inference requests, all batch sizes", failures
    )
    yield from _family(
        "nv_inference_pending_request_count",
        "gauge",
        "Instantaneous number of pending requests awaiting execution per-model.",
        ((_labels(model), model.batcher.waiting) for model in models),
    )
    yield from _family(
        "nv_model_load_duration_secs",
        "gauge",
        "Model load time in seconds",
        ((_labels(model), model.statistics.load_seconds) for model in models),
    )
    memory = psutil.virtual_memory()
    utilization = psutil.cpu_percent(None) / 100
    yield from _family("nv_cpu_utilization", "gauge", "CPU utilization rate [0.0 - 1.0]", [("", utilization)])
    yield from _family("nv_cpu_memory_total_bytes", "gauge", "CPU total memory (RAM), in bytes", [("", memory.total)])
    yield from _family("nv_cpu_memory_used_bytes", "gauge", "CPU used memory (RAM), in bytes", [("", memory.used)])


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        yield f"{name}{labels} {value}\n"


def _labels(model: ModelVersion, **more: str) -> str:
    pairs = {"model": model.config.name, **more, "version": str(model.version)}
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class _ModelCollector(Collector):
    """Reads the models' statistics when somebody scrapes; requests pay nothing for it."""

    def __init__(self, repository: ModelRepository, version: str) -> None:
        self._repository = repository
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """The `coordserve_*` families of the models."""
        models = self._repository.ready()
        yield self._build_info()
        yield from self._histograms(models)
        yield self._gauge("coordserve_queue_capacity", "Requests that may wait.", models, lambda m: m.queue_capacity)
        yield self._gauge("coordserve_instances", "Instances of the model.", models, lambda m: m.instances)
        yield self._gauge(
            "coordserve_instances_busy", "Instances that execute a batch now.", models, lambda m: m.batcher.busy
        )

    def _build_info(self) -> Metric:
        family = GaugeMetricFamily("coordserve_build_info", "Which server this is.", labels=("version",))
        family.add_metric((self._version,), 1)
        return family

    @staticmethod
    def _gauge(name: str, text: str, models: list[ModelVersion], value: Callable[[ModelVersion], float]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=("model", "version"))
        for model in models:
            family.add_metric(_label_values(model), value(model))
        return family

    @staticmethod
    def _histograms(models: list[ModelVersion]) -> Iterator[Metric]:
        sizes = HistogramMetricFamily("coordserve_batch_size", "Rows per execution.", labels=("model", "version"))
        request = HistogramMetricFamily(
            "coordserve_request_duration_seconds",
            "From a request's arrival in the queue until its answer.",
            labels=("model", "version"),
        )
        stages = HistogramMetricFamily(
            "coordserve_stage_duration_seconds",
            "Where a request's time went.",
            labels=("model", "version", "stage"),
        )
        for model in models:
            labels, statistics = _label_values(model), model.statistics
            with statistics.lock:
                _add(sizes, labels, _batch_sizes(statistics))
                _add(request, labels, statistics.request_seconds)
                _add(stages, (*labels, "queue"), statistics.queue_seconds)
                _add(stages, (*labels, "compute"), statistics.compute_seconds)
        yield from (sizes, request, stages)


def _batch_sizes(statistics: ModelStatistics) -> Histogram:
    histogram = Histogram(_BATCH_EDGES)
    for size, batch in statistics.batches.items():
        histogram.observe(size, batch.count)
    return histogram


def _add(family: Any, labels: tuple[str, ...], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.cumulative(), histogram.sum)


def _label_values(model: ModelVersion) -> tuple[str, str]:
    return model.config.name, str(model.version)
