"""The process and what it is built of."""

from __future__ import annotations

import platform
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR

from server.metrics.family import Family, label_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator


def process_families() -> Iterator[Family]:
    """`process_*`, `python_gc_*` and `python_info`, as Prometheus's library reads them."""
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        for metric in collector.collect():
            is_counter = metric.type == "counter"
            name = metric.name + "_total" if is_counter else metric.name
            family = Family(name, "counter" if is_counter else "gauge", metric.documentation)
            for sample in metric.samples:
                family.add(label_pairs(**sample.labels), sample.value)
            yield family


def build_families(version: str) -> Iterator[Family]:
    """Which server this is: its `version`, and those of what decides about speed and correctness."""
    family = Family("coordserve_build_info", "gauge", "Which server this is.")
    labels = label_pairs(
        version=version,
        python=platform.python_version(),
        torch=package_version("torch"),
        grpcio=package_version("grpcio"),
    )
    family.add(labels, 1)
    yield family
