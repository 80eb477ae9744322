from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import metrics
from server.instance import Execution, Reply
from tests.server.models import ROW, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from server.repository import ModelRepository

_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABELS = rf'\{{(?:{_NAME}="(?:[^"\\\n]|\\["\\n])*",?)*\}}'
_LINE = re.compile(
    rf"# HELP {_NAME} .*|# TYPE {_NAME} (?:counter|gauge|histogram|summary|info)|{_NAME}(?:{_LABELS})? \S+"
)
# What a real Triton 2.51 was seen to export on a machine without a GPU, but for its pinned memory.
_TRITON = {
    "nv_inference_request_success": "counter",
    "nv_inference_request_failure": "counter",
    "nv_inference_count": "counter",
    "nv_inference_exec_count": "counter",
    "nv_inference_request_duration_us": "counter",
    "nv_inference_queue_duration_us": "counter",
    "nv_inference_compute_input_duration_us": "counter",
    "nv_inference_compute_infer_duration_us": "counter",
    "nv_inference_compute_output_duration_us": "counter",
    "nv_inference_pending_request_count": "gauge",
    "nv_cpu_utilization": "gauge",
    "nv_cpu_memory_total_bytes": "gauge",
    "nv_cpu_memory_used_bytes": "gauge",
}
_MS = 1_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    """A repository in which nothing is loaded."""
    (tmp_path / "repository").mkdir()
    repository = open_repository(tmp_path / "repository")
    yield repository
    assert repository.close(HANGING_SECONDS)


def _load(repository: ModelRepository, name: str = "net") -> None:
    write_model(repository._directory / name, Constant(1), ROW)
    repository.load(name)


def _page(repository: ModelRepository) -> str:
    return metrics.render(metrics.new_registry(repository, "1.2.3"), repository).decode()


def _families(repository: ModelRepository) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(_page(repository))}


def _values(family: Metric, *keys: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[key] for key in keys): sample.value for sample in family.samples}


def test_the_page_is_in_prometheus_format(repository: ModelRepository) -> None:
    """Every line is well-formed, and each family is declared once, before its samples."""
    _load(repository)
    page = _page(repository)
    assert page.endswith("\n")
    lines = page.splitlines()
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    declared = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    assert metrics.CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("loaded", [True, False])
def test_tritons_families_are_there(repository: ModelRepository, *, loaded: bool) -> None:
    """Dashboards made for Triton find its families, also while no model is loaded."""
    if loaded:
        _load(repository)
    types = {family.name: family.type for family in _families(repository).values()}
    assert {name: types.get(name) for name in _TRITON} == _TRITON


def test_labels_stand_in_tritons_order(repository: ModelRepository) -> None:
    """The text is the one that Triton writes, to the character."""
    _load(repository)
    lines = _page(repository).splitlines()
    assert 'nv_inference_request_success{model="net",version="1"} 0' in lines
    for reason in ("REJECTED", "CANCELED", "BACKEND", "OTHER"):
        assert f'nv_inference_request_failure{{model="net",reason="{reason}",version="1"}} 0' in lines


def test_counters_tell_what_the_model_did(repository: ModelRepository) -> None:
    """Requests, rows, executions and durations in whole microseconds are those of the statistics."""
    _load(repository)
    statistics = repository.get("net").statistics
    execution = Execution(["a"], 10 * _MS, 11 * _MS, 31 * _MS, 33 * _MS + 999)
    statistics.executed(3, execution)
    statistics.succeeded(3, Reply("a", 4 * _MS, 3, execution), 40 * _MS + 999)
    statistics.failed("BACKEND", 5)
    families = _families(repository)
    expected = {
        "nv_inference_request_success": 1,
        "nv_inference_count": 3,
        "nv_inference_exec_count": 1,
        "nv_inference_request_duration_us": 36_000,
        "nv_inference_queue_duration_us": 6_000,
        "nv_inference_compute_input_duration_us": 1_000,
        "nv_inference_compute_infer_duration_us": 20_000,
        "nv_inference_compute_output_duration_us": 2_000,
        "nv_inference_pending_request_count": 0,
    }
    for name, value in expected.items():
        assert _values(families[name], "model", "version") == {("net", "1"): value}, name
    assert _values(families["nv_inference_request_failure"], "reason")[("BACKEND",)] == 1
    assert _values(families["nv_model_load_duration_secs"], "model")[("net",)] > 0


def test_histograms_are_consistent(repository: ModelRepository) -> None:
    """Buckets grow, the last one is the count, and the sum is that of what was observed."""
    _load(repository)
    version = repository.get("net")
    payload = (np.zeros((2, 2), np.int64).tobytes(),)
    for _ in range(5):
        reply = version.batcher.submit(payload, 2).result(HANGING_SECONDS)
        version.statistics.succeeded(2, reply, reply.execution.finished_ns)
    families = _families(repository)
    names = ("coordserve_request_duration_seconds", "coordserve_batch_size", "coordserve_stage_duration_seconds")
    for name in names:
        family = families[name]
        assert family.type == "histogram"
        for stage in {sample.labels.get("stage") for sample in family.samples}:
            samples = [sample for sample in family.samples if sample.labels.get("stage") == stage]
            buckets = [sample.value for sample in samples if sample.name.endswith("_bucket")]
            [count] = [sample.value for sample in samples if sample.name.endswith("_count")]
            [total] = [sample.value for sample in samples if sample.name.endswith("_sum")]
            assert buckets == sorted(buckets)
            assert buckets[-1] == count == 5
            assert total == 10 if name == "coordserve_batch_size" else 0 < total < HANGING_SECONDS
    sizes = {
        sample.labels["le"]: sample.value
        for sample in families["coordserve_batch_size"].samples
        if sample.labels.get("le")
    }
    assert (sizes["1"], sizes["2"]) == (0, 5)


def test_gauges_tell_of_the_model(repository: ModelRepository) -> None:
    """Capacity and instances stand beside what waits and what is busy."""
    _load(repository)
    families = _families(repository)
    for name, value in (("queue_capacity", 1024), ("instances", 1), ("instances_busy", 0)):
        assert _values(families[f"coordserve_{name}"], "model", "version") == {("net", "1"): value}
    assert _values(families["coordserve_build_info"], "version") == {("1.2.3",): 1}


def test_any_name_of_a_model_is_escaped(repository: ModelRepository) -> None:
    """Quotes, backslashes and line breaks in a name break no line and come back as they were."""
    name = 'a "b" \\ c\nd {é}'
    _load(repository, name)
    families = _families(repository)
    assert ("1",) in _values(families["nv_inference_count"], "version")
    assert _values(families["nv_inference_count"], "model") == {(name,): 0}
    assert (name,) in _values(families["coordserve_instances"], "model")


def test_models_that_are_gone_are_not_told(repository: ModelRepository) -> None:
    """Series end with the model."""
    _load(repository)
    repository.unload("net")
    assert 'model="net"' not in _page(repository)
