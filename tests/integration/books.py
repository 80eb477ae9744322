"""The server's accounts on /metrics: what came in must have gone out, and each thing once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving import Samples, ServerProcess

_METHOD = ("grpc_service", "grpc_method")
_MODEL = ("model", "version")
_STAGES = ("queue", "compute_input", "compute", "compute_output")


def at_rest(samples: Samples) -> bool:
    """Whether every call that has started has ended, and no instance has work."""
    started = samples.by_labels("grpc_server_started", *_METHOD)
    handled = samples.by_labels("grpc_server_handled", *_METHOD)
    busy = samples.total("coordserve_instances_busy")
    return started == handled and busy == 0 and samples.total("nv_inference_pending_request_count") == 0


def check_books(server: ServerProcess) -> Samples:
    """Wait until nothing is under way any more, then check what must agree; returns that scrape."""
    server.metrics_when(at_rest)
    samples = server.metrics()  # a page on which nothing was going on while it was written
    assert samples.by_labels("grpc_server_handling_seconds_count", *_METHOD) == samples.by_labels(
        "grpc_server_handled", *_METHOD
    )
    executions = samples.by_labels("nv_inference_exec_count", *_MODEL)
    assert executions == samples.by_labels("coordserve_batch_size_count", *_MODEL)
    assert set(samples.by_labels("coordserve_inflight_requests", *_MODEL).values()) <= {0}
    accepted = samples.by_labels("coordserve_accepted", *_MODEL)
    ended = samples.by_labels("coordserve_request_duration_seconds_count", *_MODEL, "outcome")
    stages = samples.by_labels("coordserve_stage_duration_seconds_count", *_MODEL, "stage")
    failures = samples.by_labels("nv_inference_request_failure", *_MODEL)
    for model, successes in samples.by_labels("nv_inference_request_success", *_MODEL).items():
        assert accepted[model] == successes + failures[model], model
        assert [ended[*model, outcome] for outcome in ("ok", "error")] == [successes, failures[model]], model
        assert {stages[*model, stage] for stage in _STAGES} == {successes}, model
    return samples


class Ledger:
    """Every counter that has moved since this was made: calls by method and code, requests by model and outcome."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._before = _entries(check_books(server))

    def settle(self) -> dict[str, int]:
        """Wait for the end of everything; returns what has moved, and by how much."""
        after = _entries(check_books(self._server))
        moved = {name: int(count - self._before.get(name, 0)) for name, count in after.items()}
        return {name: count for name, count in moved.items() if count}


def _entries(samples: Samples) -> dict[str, float]:
    by_labels = samples.by_labels
    return {
        **_named("call", by_labels("grpc_server_handled", "grpc_method", "grpc_code")),
        **_named("accepted", by_labels("coordserve_accepted", "model")),
        **_named("success", by_labels("nv_inference_request_success", "model")),
        **_named("failure", by_labels("nv_inference_request_failure", "model", "reason")),
        **_named("rejected", by_labels("coordserve_rejected", "reason")),
    }


def _named(kind: str, counts: dict[tuple[str, ...], float]) -> dict[str, float]:
    return {" ".join((kind, *labels)): count for labels, count in counts.items()}


class Account:
    """What happened to one model and one method of it since this was made; requests must all be valid."""

    def __init__(self, server: ServerProcess, model: str, method: str = "ModelInfer") -> None:
        self._server = server
        self._model = model
        self._method = method
        self._before = check_books(server)

    def settle(self) -> dict[str, int]:
        """Wait for the end of everything; returns how many were `started`, a `success`, or failed by reason."""
        after = check_books(self._server)
        sums = self._sums(after)
        before = self._sums(self._before)
        return {key: int(sums[key] - before.get(key, 0)) for key in sums}

    def _sums(self, samples: Samples) -> dict[str, float]:
        failures = samples.by_labels("nv_inference_request_failure", "model", "reason")
        return {
            "started": samples.total("grpc_server_started", grpc_method=self._method),
            "success": samples.total("nv_inference_request_success", model=self._model),
            **{reason: count for (model, reason), count in failures.items() if model == self._model},
        }


def waiting(model: str, count: int) -> Callable[[Samples], bool]:
    """Whether so many requests wait for the only instance of a model, which is busy."""

    def holds(samples: Samples) -> bool:
        busy = samples.total("coordserve_instances_busy", model=model)
        return busy == 1 and samples.total("nv_inference_pending_request_count", model=model) == count

    return holds
