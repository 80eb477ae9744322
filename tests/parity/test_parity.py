"""A real Triton and this server answer alike, but for the deviations that are written down."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import service_pb2 as pb

from tests.parity.answers import TIMEOUT_SECONDS, ask, output_values
from tests.parity.cases import CASES, CONTROL, FAILED, LOADING, POLLED, WARM_UPS, Case
from tests.parity.deviations import DEVIATIONS
from tests.parity.ensemble_cases import ENSEMBLE_CASES, ENSEMBLE_CONTROL, ENSEMBLE_MOVEMENTS
from tests.parity.messages import Tensor, image, infer, tensors, work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.parity.conftest import Pair, Server


def difference(name: str, theirs: str, ours: str) -> str:
    """Return what differs and should not, or does not differ and should; empty if all is well."""
    deviation = DEVIATIONS.get(name)
    if deviation and ours == theirs:
        return f"{name}: this deviation is none any more"
    if ours.startswith(deviation.ours) if deviation else ours == theirs:
        return ""
    expected = deviation.ours if deviation else theirs
    lines = difflib.unified_diff(expected.splitlines(), ours.splitlines(), "expected", "answered", n=2, lineterm="")
    return "\n".join([name, *lines])


def answered_otherwise(pair: Pair, case: Case) -> str:
    """Ask both servers; return the difference."""
    return difference(case.name, *(ask(server, case.rpc, case.request) for server in (pair.triton, pair.ours)))


def fail_if(*differences: str) -> None:
    """Fail with the differences that are not empty, as they are: pytest's own way of showing strings hides them."""
    if text := "\n".join(filter(None, differences)):
        pytest.fail(text, pytrace=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_answer_alike(explicit: Pair, case: Case) -> None:
    """One request gets one answer, whichever server it reaches."""
    fail_if(answered_otherwise(explicit, case))


@pytest.mark.parametrize("case", FAILED, ids=lambda case: case.name)
def test_a_model_that_did_not_load_is_answered_alike(failed: Pair, case: Case) -> None:
    """Without model control, a broken model makes both servers not ready, and both tell the same of it."""
    fail_if(answered_otherwise(failed, case))


def test_deviations_are_of_the_tables() -> None:
    """Every deviation names a case."""
    cases = (*CASES, *CONTROL, *FAILED, *WARM_UPS, *LOADING, *POLLED, *ENSEMBLE_CASES, *ENSEMBLE_CONTROL)
    assert set(DEVIATIONS) <= {case.name for case in cases} | {*MOVEMENTS, *ENSEMBLE_MOVEMENTS}


def test_a_network_computes_alike(explicit: Pair) -> None:
    """A convolutional network's probabilities differ by no more than rounding."""
    theirs, ours = _network_answers(explicit, "network")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_a_network_in_bf16_computes_alike(explicit: Pair) -> None:
    """Where bfloat16 is computed with, the classes are the same and the probabilities differ by its rounding alone."""
    theirs, ours = _network_answers(explicit, "network_bf16")
    _, exact = _network_answers(explicit, "network")
    np.testing.assert_array_equal(ours.argmax(axis=1), theirs.argmax(axis=1))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2)
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-2)
    assert not np.array_equal(ours, exact)


def _network_answers(pair: Pair, model: str) -> list[Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    request = infer(Tensor("INPUT__0", "UINT8", pixels.shape, pixels.tobytes()), model=model)
    return [output_values(server.inference.ModelInfer(request)) for server in (pair.triton, pair.ours)]


MOVEMENTS: dict[str, list[pb.ModelInferRequest]] = {
    "counts: one row": [infer(*tensors(), model="tensors")],
    "counts: three rows, twice": [infer(*tensors(3), model="tensors")] * 2,
    "counts: refused": [infer(*tensors(5), model="tensors")],
    "counts: batched dynamically": [infer(image((rows, 4, 4, 3))) for rows in (2, 1, 2)],
    "counts: failed": [work(-1, rows=2)],
}


@pytest.mark.parametrize("name", MOVEMENTS)
def test_statistics_and_metrics_move_alike(explicit: Pair, name: str) -> None:
    """The same requests move the counts of ModelStatistics and of the metrics page by the same amounts."""
    theirs, ours = (_movement(server, MOVEMENTS[name]) for server in (explicit.triton, explicit.ours))
    fail_if(difference(name, theirs, ours))


def _movement(server: Server, requests: Sequence[pb.ModelInferRequest]) -> str:
    before = model_counts(server, requests[0].model_name)
    for request in requests:
        ask(server, "ModelInfer", request)
    after = model_counts(server, requests[0].model_name)
    moved = {name: value - before.get(name, 0) for name, value in after.items()}
    return "".join(f"{name} +{value:g}\n" for name, value in sorted(moved.items()) if value)


def model_counts(server: Server, model: str) -> dict[str, float]:
    """Return what ModelStatistics and the metrics page have counted of a model."""
    response = server.inference.ModelStatistics(pb.ModelStatisticsRequest(name=model), timeout=TIMEOUT_SECONDS)
    statistics = response.model_stats[0]
    counts: dict[str, float] = {name: getattr(statistics, name) for name in ("inference_count", "execution_count")}
    counts |= _durations("", statistics.inference_stats)
    for batch in statistics.batch_stats:
        counts |= _durations(f"batches of {batch.batch_size}: ", batch)
    families = _families(server)
    for name in ("request_success", "request_failure", "count", "exec_count"):
        for sample in families[f"nv_inference_{name}"].samples:
            if sample.labels["model"] == model:
                counts[f"{sample.name} {sample.labels.get('reason')}"] = sample.value
    return counts


def _durations(prefix: str, message: Any) -> dict[str, float]:
    fields = [field.name for field in message.DESCRIPTOR.fields if field.message_type]
    return {prefix + name: getattr(message, name).count for name in fields}


def _families(server: Server) -> Mapping[str, Any]:
    status, page = server.process.get("/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(page)}


def test_metrics_have_the_same_families(explicit: Pair) -> None:
    """Triton's families of models and of the processor are on both pages, with the same types, texts and labels."""
    theirs, ours = (_families(server) for server in (explicit.triton, explicit.ours))
    names = [name for name in theirs if name.startswith(("nv_inference", "nv_cpu"))]
    assert len(names) > 10
    for name in names:
        assert (ours[name].type, ours[name].documentation) == (theirs[name].type, theirs[name].documentation)
        labels = [{frozenset(sample.labels) for sample in page[name].samples} for page in (ours, theirs)]
        assert labels[0] == labels[1]


def test_a_full_queue_is_answered_alike(explicit: Pair) -> None:
    """More requests than may wait: both answer some, and refuse the others with the same code and text."""
    outcomes = []
    for server in (explicit.triton, explicit.ours):
        calls = [server.inference.ModelInfer.future(work(200, rows=4), timeout=TIMEOUT_SECONDS) for _ in range(12)]
        errors = [call.exception() for call in calls]
        assert not all(errors)
        outcomes.append({(error.code(), error.details()) for error in errors if isinstance(error, grpc.RpcError)})
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 1


def test_models_come_and_go_alike(explicit: Pair) -> None:
    """Loading and unloading by request: every step of a conversation is answered alike."""
    differences = []
    for case in CONTROL:
        if case.rpc == "RepositoryIndex":
            wait_until_unloaded(explicit.triton)
        differences.append(answered_otherwise(explicit, case))
    fail_if(*differences)


def test_a_reload_moves_no_counter(explicit: Pair, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both go on counting where they were when a model is loaded again; one that was unloaded starts at nothing."""
    for path in tmp_path_factory.getbasetemp().glob("repository*/tensors/1/model.pt"):
        path.touch()  # else Triton does nothing
    before, reloaded, unloaded = [], [], []
    for server in (explicit.triton, explicit.ours):
        expected = _successes(server, "tensors") + 1
        ask(server, "ModelInfer", infer(*tensors(), model="tensors"))
        _wait_until_counted(server, "tensors", expected)
        before.append(expected)
        ask(server, "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="tensors"))
        reloaded.append(_successes(server, "tensors"))
        ask(server, "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="tensors"))
        wait_until_unloaded(server)
        ask(server, "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="tensors"))
        unloaded.append(_successes(server, "tensors"))
    assert min(before) > 0
    assert reloaded == before
    assert unloaded == [0, 0]


def _successes(server: Server, model: str) -> float:
    samples = _families(server)["nv_inference_request_success"].samples
    [count] = [sample.value for sample in samples if sample.labels["model"] == model]
    return float(count)


def _wait_until_counted(server: Server, model: str, expected: float) -> None:
    """Triton counts a request after it has answered it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while (found := _successes(server, model)) != expected:
        assert time.monotonic() < end, f"{found} successes are counted and not {expected}"
        time.sleep(0.05)


def wait_until_unloaded(server: Server) -> None:
    """Triton answers an unload at once and does it later."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while "UNLOADING" in ask(server, "RepositoryIndex", pb.RepositoryIndexRequest()):
        assert time.monotonic() < end, "the model is still being unloaded"
        time.sleep(0.05)
