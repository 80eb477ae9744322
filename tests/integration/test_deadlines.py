from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.integration import rows
from tests.integration.books import Account

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving import Samples, ServerProcess


def _busy(model: str) -> Callable[[Samples], bool]:
    return lambda samples: samples.total("coordserve_instances_busy", model=model) == 1


def _waiting(model: str, count: int) -> Callable[[Samples], bool]:
    return lambda samples: samples.total("nv_inference_pending_request_count", model=model) == count


def test_requests_that_expire_free_their_places_while_the_instance_is_still_busy(
    server: ServerProcess, inference: Any, rounds_per_second: int
) -> None:
    """A queue full of expired requests is empty again before the batch that made them wait is done."""
    account = Account(server, "narrow")
    infer = inference.ModelInfer
    busy = infer.future(rows.request("narrow", 100, 2 * rounds_per_second))
    server.metrics_when(_busy("narrow"))
    hurried = [infer.future(rows.request("narrow", identity), timeout=0.5) for identity in range(8)]
    assert {call.code() for call in hurried} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    server.metrics_when(lambda samples: _waiting("narrow", 0)(samples) and _busy("narrow")(samples))
    patient = [infer.future(rows.request("narrow", identity)) for identity in range(8)]
    assert [rows.answers(call.result()) for call in [*patient, busy]] == [*([identity] for identity in range(8)), [100]]
    assert account.settle() == {"started": 17, "success": 9, "REJECTED": 0, "CANCELED": 8, "BACKEND": 0, "OTHER": 0}


def test_what_cannot_be_done_in_time_is_refused_at_the_door(server: ServerProcess, inference: Any) -> None:
    """With a second of work waiting, a request that has less time is refused by the server, before its time is up."""
    account = Account(server, "steady")
    infer = inference.ModelInfer
    batch = [(5, 0)] * 4
    backlog = [infer.future(rows.batch_request("steady", batch)) for _ in range(9)]
    server.metrics_when(lambda samples: samples.total("grpc_server_started", grpc_method="ModelInfer") >= 9)
    server.metrics_when(_busy("steady"))
    refused = infer.future(rows.request("steady", 1), timeout=0.4)
    assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "requests waiting an answer takes about" in refused.details()
    assert [rows.answers(call.result()) for call in backlog] == [[5] * 4] * 9
    assert account.settle() == {"started": 10, "success": 9, "REJECTED": 1, "CANCELED": 0, "BACKEND": 0, "OTHER": 0}


def test_the_queue_policys_timeout_is_for_waiting_only(
    server: ServerProcess, inference: Any, rounds_per_second: int
) -> None:
    """What waits longer than `default_timeout_microseconds` is refused; what runs longer is answered."""
    account = Account(server, "hasty")
    running = inference.ModelInfer.future(rows.request("hasty", 1, rounds_per_second))
    server.metrics_when(_busy("hasty"))
    waiting = inference.ModelInfer.future(rows.request("hasty", 2))
    assert waiting.code() is grpc.StatusCode.UNAVAILABLE
    assert waiting.details() == "Request timeout expired"
    assert rows.answers(running.result()) == [1]
    assert account.settle() == {"started": 2, "success": 1, "REJECTED": 1, "CANCELED": 0, "BACKEND": 0, "OTHER": 0}


@pytest.mark.parametrize("waiting", [True, False], ids=["waiting", "running"])
def test_a_caller_that_leaves_is_counted_and_forgotten(
    server: ServerProcess, inference: Any, rounds_per_second: int, *, waiting: bool
) -> None:
    """A request that is cancelled frees its place if it waits; if it runs, its answer is dropped and harms nobody."""
    account = Account(server, "narrow")
    first = inference.ModelInfer.future(rows.request("narrow", 1, rounds_per_second))
    server.metrics_when(_busy("narrow"))
    second = inference.ModelInfer.future(rows.request("narrow", 2))
    server.metrics_when(_waiting("narrow", 1))
    leaving, staying = (second, first) if waiting else (first, second)
    leaving.cancel()
    if waiting:
        server.metrics_when(lambda samples: _waiting("narrow", 0)(samples) and _busy("narrow")(samples))
    assert rows.answers(staying.result()) == [1 if waiting else 2]
    assert account.settle() == {"started": 2, "success": 1, "REJECTED": 0, "CANCELED": 1, "BACKEND": 0, "OTHER": 0}
