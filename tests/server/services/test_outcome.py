from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.errors import ModelFailed, ServingError
from server.instance import Execution, Reply
from server.services.outcome import Outcome
from server.statistics import FAILURE_REASONS, ModelStatistics
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def model() -> Any:
    """What of a model counts here."""
    return SimpleNamespace(statistics=ModelStatistics())


def _every_error() -> Iterator[type[BaseException]]:
    errors: list[type[ServingError]] = [ServingError]
    while errors:
        errors += errors[0].__subclasses__()
        yield errors.pop(0)
    yield from (asyncio.CancelledError, ValueError, KeyboardInterrupt)


def test_a_request_that_is_answered_is_a_success(model: Any) -> None:
    """It is in flight until the end of the block, and then has succeeded, after all the time that it took.

    Of its id no more is kept than Prometheus takes.
    """
    statistics = model.statistics
    with Outcome(model, "mine" * 1000) as outcome:
        assert (statistics.accepted_count, statistics.in_flight) == (1, 1)
        outcome.answered(3, Reply("a", 0, 3, Execution(["a"], 0, 0, 0, 0)))
        assert statistics.success.count == 0
    assert (statistics.success.count, statistics.inference_count, statistics.in_flight) == (1, 3, 0)
    assert 0 < statistics.success.request_ns < HANGING_SECONDS * 1e9
    assert [each.request_id for each in statistics.request_seconds.exemplars.values()] == [("mine" * 1000)[:118]]


def test_the_step_of_an_ensemble_is_told_from_requests_of_callers(model: Any) -> None:
    """It is a success of its model as any other, and counted once more as a step."""
    for step in (False, True):
        with Outcome(model, step=step) as outcome:
            outcome.answered(1, Reply("a", 0, 1, Execution(["a"], 5, 5, 9, 9)))
    statistics = model.statistics
    assert (statistics.success.count, statistics.steps.count, statistics.step_seconds.counts.count(1)) == (2, 1, 1)
    assert (statistics.steps.queue_ns, statistics.steps.compute_infer_ns) == (5, 4)


@pytest.mark.parametrize("error", list(_every_error()))
def test_every_error_is_one_failure(model: Any, error: type[BaseException]) -> None:
    """Whatever leaves the block, a bug of ours included, counts once, under one of Triton's reasons."""
    statistics = model.statistics
    with pytest.raises(error), Outcome(model, "mine"):
        raise error
    assert sum(statistics.failures.values()) == statistics.fail.count == statistics.accepted_count == 1
    assert set(statistics.failures) == set(FAILURE_REASONS)
    assert statistics.in_flight == 0
    assert [each.request_id for each in statistics.failed_seconds.exemplars.values()] == ["mine"]


@pytest.mark.parametrize(
    "error", [each for each in _every_error() if getattr(each, "reason", "") == ModelFailed.reason]
)
def test_what_went_wrong_inside_a_model_is_counted_there(model: Any, error: type[ServingError]) -> None:
    """Whatever code in a model calls its failure, the model is to blame for it, not the server."""
    with pytest.raises(error), Outcome(model):
        raise error
    assert model.statistics.failures["BACKEND"] == 1


def test_an_answer_that_cannot_be_sent_is_a_failure(model: Any) -> None:
    """What goes wrong after the model has answered makes a success of nothing."""
    outcome = Outcome(model)
    outcome.__enter__()
    outcome.answered(1, Reply("a", 0, 1, Execution(["a"], 0, 0, 0, 0)))
    outcome.__exit__(ModelFailed, ModelFailed(), None)
    assert (model.statistics.success.count, model.statistics.failures["BACKEND"]) == (0, 1)
