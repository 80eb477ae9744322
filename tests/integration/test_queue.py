"""The queue of a model whose only instance never comes back: nothing here depends on how fast anything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.integration import rows
from tests.torchscript_models import ROWS, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.serving import Samples, ServerProcess

CAPACITY = 64
FOREVER = 1_000_000_000
CONFIG = f"""
    platform: "pytorch_libtorch"  max_batch_size: 4  instance_group [ {{ count: 1 }} ]
    dynamic_batching {{ default_queue_policy {{
        max_queue_size: {CAPACITY}  default_timeout_microseconds: 600000000  allow_timeout_override: true
    }} }}
"""


@pytest.fixture(scope="module")
def jammed(
    tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> Iterator[ServerProcess]:
    """A server with a model `jammed`, each row of which costs some work, and whose instance is busy for ever."""
    repository = tmp_path_factory.mktemp("jammed")
    write_model(repository / "jammed", Worker(rounds=100), CONFIG + ROWS)
    with start_server(repository) as server, rows.own_connection(server.grpc_address) as channel:
        call = rows.stub(channel).ModelInfer.future(rows.request("jammed", 0, FOREVER))
        server.metrics_when(lambda samples: samples.total("coordserve_instances_busy") == 1)
        yield server
        assert not call.done()


@pytest.fixture
def infer(jammed: ServerProcess) -> Iterator[Any]:
    """ModelInfer of the jammed server, whose queue is empty; what waits in the end is cancelled."""
    with rows.own_connection(jammed.grpc_address) as channel:
        yield rows.stub(channel).ModelInfer
    jammed.metrics_when(_waiting(0))


def _waiting(count: int) -> Callable[[Samples], bool]:
    return lambda samples: samples.total("nv_inference_pending_request_count") == count


def _failures(samples: Samples) -> dict[str, float]:
    return {reason: count for (reason,), count in samples.by_labels("nv_inference_request_failure", "reason").items()}


def _grown(before: Samples, after: Samples) -> dict[str, float]:
    counts = _failures(before)
    return {reason: count - counts[reason] for reason, count in _failures(after).items() if count > counts[reason]}


def test_a_full_queue_refuses_at_once_and_takes_again_when_a_place_is_free(jammed: ServerProcess, infer: Any) -> None:
    """As many requests wait as may wait, each further one is told so; a caller that leaves makes room for another."""
    before = jammed.metrics()
    waiting = [infer.future(rows.request("jammed", identity)) for identity in range(CAPACITY)]
    jammed.metrics_when(_waiting(CAPACITY))
    refused = [infer.future(rows.request("jammed", identity)) for identity in range(20)]
    assert {call.code() for call in refused} == {grpc.StatusCode.UNAVAILABLE}
    texts = [f"[request id: {identity}] Exceeds maximum queue size" for identity in range(20)]
    assert [call.details() for call in refused] == texts
    waiting[5].cancel()
    jammed.metrics_when(_waiting(CAPACITY - 1))
    waiting[5] = infer.future(rows.request("jammed", 99))
    after = jammed.metrics_when(_waiting(CAPACITY))
    assert not any(call.done() for call in waiting)
    assert _grown(before, after) == {"REJECTED": 20, "CANCELED": 1}
    refusals = [samples.total("coordserve_rejected", reason="queue_full") for samples in (before, after)]
    assert refusals[1] - refusals[0] == 20


def test_requests_that_expire_free_their_places(jammed: ServerProcess, infer: Any) -> None:
    """A queue full of requests whose deadlines have passed is empty, although no instance ever looked at it."""
    before = jammed.metrics()
    hurried = [infer.future(rows.request("jammed", identity), timeout=3) for identity in range(20)]
    jammed.metrics_when(_waiting(20))
    assert {call.code() for call in hurried} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    after = jammed.metrics_when(_waiting(0))
    assert sum(_grown(before, after).values()) == 20
    codes = [samples.total("grpc_server_handled", grpc_code="DEADLINE_EXCEEDED") for samples in (before, after)]
    assert codes[1] - codes[0] == 20


def test_what_cannot_be_done_in_time_is_refused_at_the_door(jammed: ServerProcess, infer: Any) -> None:
    """Behind work of seconds, a request that has less time is refused by the server, before its time is up."""
    before = jammed.metrics()
    backlog = [infer.future(rows.batch_request("jammed", [(1, 0)] * 4)) for _ in range(CAPACITY - 1)]
    jammed.metrics_when(_waiting(CAPACITY - 1))
    hurried = infer.future(rows.request("jammed", 1), timeout=1)
    assert hurried.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert f"with {CAPACITY - 1} requests waiting an answer takes about" in hurried.details()
    assert _grown(before, jammed.metrics()) == {"REJECTED": 1}
    assert not any(call.done() for call in backlog)


def test_the_queue_policys_timeout_ends_the_waiting(jammed: ServerProcess, infer: Any) -> None:
    """A request that allows itself less time to wait than the policy is refused as soon as that time is over."""
    before = jammed.metrics()
    impatient = rows.request("jammed", 1)
    impatient.parameters["timeout"].int64_param = 1000
    call = infer.future(impatient)
    assert (call.code(), call.details()) == (grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
    assert _grown(before, jammed.metrics()) == {"REJECTED": 1}
