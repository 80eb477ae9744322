"""A real Triton and this server answer alike, but for the deviations that are written down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.parity.answers import TIMEOUT_SECONDS, ask, output_values
from tests.parity.cases import CASES, CONTROL, FAILED, LOADING, POLLED, WARM_UPS, Case
from tests.parity.comparison import answered_otherwise, difference, fail_if, families, model_counts, wait_until_unloaded
from tests.parity.deviations import DEVIATIONS
from tests.parity.ensemble_cases import ENSEMBLE_CASES, ENSEMBLE_CONTROL, ENSEMBLE_MOVEMENTS
from tests.parity.messages import Tensor, image, infer, tensors, work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.parity.conftest import Pair, Server


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


def test_metrics_have_the_samefamilies(explicit: Pair) -> None:
    """Triton's families of models and of the processor are on both pages, with the same types, texts and labels."""
    theirs, ours = (families(server) for server in (explicit.triton, explicit.ours))
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
    samples = families(server)["nv_inference_request_success"].samples
    [count] = [sample.value for sample in samples if sample.labels["model"] == model]
    return float(count)


def _wait_until_counted(server: Server, model: str, expected: float) -> None:
    """Triton counts a request after it has answered it."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while (found := _successes(server, model)) != expected:
        assert time.monotonic() < end, f"{found} successes are counted and not {expected}"
        time.sleep(0.05)
