from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
import torch
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from server.instance import Execution, Reply
from server.load_error import LoadError
from server.metrics.exposition import OPENMETRICS, TEXT, Format
from server.metrics.page import MetricsPage
from tests.server.models import ROW, end_instance, open_repository, write_model
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
_DURATIONS = ("request_duration_seconds", "step_duration_seconds", "stage_duration_seconds")
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


def _page(repository: ModelRepository, form: Format = TEXT) -> str:
    return MetricsPage(repository, "1.2.3").render(form).decode()


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


def test_both_formats_tell_the_same(repository: ModelRepository) -> None:
    """OpenMetrics has the same series with the same labels; Triton's counters, which lack `_total`, have no type."""
    _load(repository)
    families = {
        family.name: family for family in openmetrics.text_string_to_metric_families(_page(repository, OPENMETRICS))
    }
    plain = _families(repository)
    assert families.keys() == plain.keys()
    names = [sample.name for family in families.values() for sample in family.samples]
    lines = [line for line in _page(repository).splitlines() if not line.startswith("#")]
    assert names == [re.split("[{ ]", line)[0] for line in lines]
    assert {family.type for name, family in families.items() if name in _TRITON} == {"unknown", "gauge"}
    assert families["coordserve_accepted"].type == "counter"


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
    statistics.succeeded(3, Reply("a", 4 * _MS, 3, execution), 36 * _MS + 999)
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
        version.statistics.decoded(1000)
        version.statistics.failed("OTHER", 1000)
        version.statistics.succeeded(2, reply, reply.execution.finished_ns - reply.arrived_ns)
        version.statistics.was_step(reply, reply.execution.finished_ns - reply.arrived_ns)
    families = _families(repository)
    for name in (f"coordserve_{each}" for each in ("batch_size", *_DURATIONS)):
        family = families[name]
        assert family.type == "histogram"
        parts = [sample.labels.get("stage", sample.labels.get("outcome")) for sample in family.samples]
        for part in set(parts):
            samples = [sample for sample, of in zip(family.samples, parts, strict=True) if of == part]
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
    assert (sizes["1.0"], sizes["2.0"]) == (0, 5)


def test_gauges_tell_of_the_model(repository: ModelRepository) -> None:
    """Capacity and instances stand beside what waits and what is busy."""
    _load(repository)
    families = _families(repository)
    values = {"queue_capacity": 1024, "instances": 1, "instances_busy": 0, "inflight_requests": 0, "model_ready": 1}
    for name, value in values.items():
        assert _values(families[f"coordserve_{name}"], "model", "version") == {("net", "1"): value}


def test_the_build_is_told(repository: ModelRepository) -> None:
    """The versions of the server and of what it stands on."""
    [sample] = _families(repository)["coordserve_build_info"].samples
    expected = {"version": "1.2.3", "python": platform.python_version(), "grpcio": grpc.__version__}
    assert (sample.value, sample.labels | expected) == (1, sample.labels)
    assert sample.labels["torch"].split("+")[0] == torch.__version__.split("+")[0]


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


def test_what_does_not_answer_is_told(repository: ModelRepository) -> None:
    """A model that failed to load is not ready, while others are; each load counts by its outcome."""
    _load(repository, "good")
    write_model(repository._directory / "bad", b"no module", ROW)
    for _ in range(2):
        with pytest.raises(LoadError):
            repository.load("bad")
    families = _families(repository)
    ready = _values(families["coordserve_model_ready"], "model", "version")
    assert ready == {("good", "1"): 1, ("bad", "1"): 0}
    loads = _values(families["coordserve_model_loads"], "model", "outcome")
    assert loads == {("good", "ok"): 1, ("good", "failed"): 0, ("bad", "ok"): 0, ("bad", "failed"): 2}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_model_that_lost_its_instance_is_still_told(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks why nothing is answered finds the model's series, not ready, and nothing busy."""
    _load(repository)
    end_instance(repository.get("net"), (bytes(16),), monkeypatch)
    families = _families(repository)
    for name in ("coordserve_model_ready", "coordserve_instances_busy"):
        assert _values(families[name], "model", "version") == {("net", "1"): 0}
    assert ("net", "1") in _values(families["nv_inference_count"], "model", "version")


def test_instances_are_busy_while_they_execute(repository: ModelRepository) -> None:
    """The busy time is there and grows with what is executed."""
    _load(repository)
    version = repository.get("net")
    before = version.batcher.busy_seconds
    reply = version.batcher.submit((bytes(16),), 1).result(HANGING_SECONDS)
    ran = (reply.execution.finished_ns - reply.execution.started_ns) / 1e9
    [busy] = _values(_families(repository)["coordserve_instance_busy_seconds"], "model").values()
    assert before + ran <= busy < HANGING_SECONDS


def test_a_model_that_is_loaded_again_goes_on_counting(repository: ModelRepository) -> None:
    """What it has done before is not forgotten, and what a request on its way does is not lost; as with Triton."""
    _load(repository)
    with repository.lease("net") as old:
        old.statistics.accepted()
        repository.load("net")
        assert _values(_families(repository)["coordserve_inflight_requests"], "model") == {("net",): 1}
        reply = old.batcher.submit((bytes(16),), 1).result(HANGING_SECONDS)
        old.statistics.succeeded(1, reply, 1000)
    families = _families(repository)
    for name in ("nv_inference_request_success", "nv_inference_exec_count", "coordserve_accepted"):
        assert _values(families[name], "model") == {("net",): 1}, name
    repository.unload("net")
    repository.load("net")
    assert _values(_families(repository)["nv_inference_request_success"], "model") == {("net",): 0}


def test_predictions_are_told_by_label(repository: ModelRepository) -> None:
    """Each label has a series from the start, one that is given twice has one, and so have classes without any."""
    config = ROW.replace('name: "OUTPUT__0"', 'name: "OUTPUT__0" label_filename: "labels.txt"')
    write_model(repository._directory / "net", Constant(1), config)
    (repository._directory / "net" / "labels.txt").write_text('crane\ncrane\n\n"dog"\nunlabelled\n')
    repository.load("net")
    statistics = repository.get("net").statistics
    for label in ("crane", "crane", "", "unlabelled"):
        statistics.predicted(label, 0.97)
    families = _families(repository)
    counts = _values(families["coordserve_predictions"], "model", "class")
    assert counts == {("net", "crane"): 2, ("net", '"dog"'): 0, ("net", "unlabelled"): 2}
    edges = {sample.labels.get("le"): sample.value for sample in families["coordserve_prediction_confidence"].samples}
    assert (edges["0.95"], edges["0.99"]) == (0, 4)


def test_predictions_of_many_classes_are_not_told(repository: ModelRepository) -> None:
    """A model of a thousand classes would bring a thousand series; how sure it is costs but one histogram."""
    config = ROW.replace('name: "OUTPUT__0"', 'name: "OUTPUT__0" label_filename: "labels.txt"')
    write_model(repository._directory / "net", Constant(1), config)
    (repository._directory / "net" / "labels.txt").write_text("".join(f"class {number}\n" for number in range(101)))
    repository.load("net")
    families = _families(repository)
    assert families["coordserve_predictions"].samples == []
    assert families["coordserve_prediction_confidence"].samples


def test_the_page_does_not_grow_with_loads(repository: ModelRepository) -> None:
    """However often models come and go, there are no more series than for those that are there."""
    _load(repository)
    before = len(_page(repository).splitlines())
    for _ in range(20):
        repository.load("net")
    repository.unload("net")
    gone = len(_page(repository).splitlines())
    repository.load("net")
    assert gone < before == len(_page(repository).splitlines())
