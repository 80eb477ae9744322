"""The queue of a model whose only instance is busy for as long as the test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from tests.integration import rows
from tests.integration.books import Account, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.gates import Door
    from tests.serving import ServerProcess

    Busy = Callable[[str], Any]

CAPACITY = 64  # of the model `costly`


def test_a_full_queue_refuses_at_once_and_takes_again_when_a_place_is_free(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """As many requests wait as may wait, each further one is told so; a caller that leaves makes room for another."""
    account, infer = Account(server, "costly"), inference.ModelInfer
    refusals = server.metrics().total("coordserve_rejected", reason="queue_full")
    running = busy("costly")
    calls = [infer.future(rows.request("costly", identity)) for identity in range(CAPACITY)]
    server.metrics_when(waiting("costly", CAPACITY))
    refused = [infer.future(rows.request("costly", identity)) for identity in range(20)]
    assert {call.code() for call in refused} == {grpc.StatusCode.UNAVAILABLE}
    texts = [f"[request id: {identity}] Exceeds maximum queue size" for identity in range(20)]
    assert [call.details() for call in refused] == texts
    assert server.metrics().total("coordserve_rejected", reason="queue_full") == refusals + 20
    calls[5].cancel()
    server.metrics_when(waiting("costly", CAPACITY - 1))
    calls[5] = infer.future(rows.request("costly", 99))
    server.metrics_when(waiting("costly", CAPACITY))
    door.open()
    assert rows.answers(running.result()) == [1000]
    expected = [[99 if place == 5 else place] for place in range(CAPACITY)]
    assert [rows.answers(call.result()) for call in calls] == expected
    books = {"started": CAPACITY + 22, "success": CAPACITY + 1, "REJECTED": 20, "CANCELED": 1}
    assert account.settle() == {**books, "BACKEND": 0, "OTHER": 0}


def test_requests_that_expire_free_their_places(server: ServerProcess, inference: Any, busy: Busy, door: Door) -> None:
    """A queue full of requests whose deadlines have passed is empty, although no instance ever looked at it."""
    account, infer = Account(server, "single"), inference.ModelInfer
    running = busy("single")
    before = server.metrics().total("grpc_server_handled", grpc_code="DEADLINE_EXCEEDED")
    hurried = [infer.future(rows.request("single", identity), timeout=6) for identity in range(20)]
    server.metrics_when(waiting("single", 20))
    assert {call.code() for call in hurried} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    after = server.metrics_when(waiting("single", 0))
    assert after.total("grpc_server_handled", grpc_code="DEADLINE_EXCEEDED") == before + 20
    door.open()
    assert rows.answers(running.result()) == [1000]
    books = account.settle()
    assert (books["started"], books["success"], sum(books.values())) == (21, 1, 42)


def test_what_cannot_be_done_in_time_is_refused_at_the_door(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """Behind work of seconds, a request that has less time is refused by the server, before its time is up."""
    account, infer = Account(server, "costly"), inference.ModelInfer
    running = busy("costly")
    backlog = [infer.future(rows.batch_request("costly", [(1, 0)] * 4)) for _ in range(CAPACITY - 1)]
    server.metrics_when(waiting("costly", CAPACITY - 1))
    hurried = infer.future(rows.request("costly", 1), timeout=0.5)
    assert hurried.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert f"with {CAPACITY - 1} requests waiting an answer takes about" in hurried.details()
    for call in (*backlog, running):
        call.cancel()
    server.metrics_when(waiting("costly", 0))
    books = {"started": CAPACITY + 1, "success": 0, "REJECTED": 1, "CANCELED": CAPACITY}
    door.open()
    assert account.settle() == {**books, "BACKEND": 0, "OTHER": 0}


def test_the_queue_policys_timeout_is_for_waiting_only(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """A request that allows itself less time than the policy is refused when that is over; one that runs is not."""
    account = Account(server, "costly")
    impatient = rows.request("costly", 1)
    impatient.parameters["timeout"].int64_param = 1000
    running = busy("costly")
    call = inference.ModelInfer.future(impatient)
    assert (call.code(), call.details()) == (grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
    door.open()
    assert rows.answers(running.result()) == [1000]
    assert account.settle() == {"started": 2, "success": 1, "REJECTED": 1, "CANCELED": 0, "BACKEND": 0, "OTHER": 0}


def test_a_caller_that_leaves_its_running_request_harms_nobody(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """The answer of a request whose caller has left is dropped, and the next one gets its own."""
    account = Account(server, "single")
    running = busy("single")
    following = inference.ModelInfer.future(rows.request("single", 2))
    server.metrics_when(waiting("single", 1))
    failed = server.metrics().total("nv_inference_request_failure", model="single")
    running.cancel()
    server.metrics_when(lambda samples: samples.total("nv_inference_request_failure", model="single") > failed)
    door.open()
    assert rows.answers(following.result()) == [2]
    assert account.settle() == {"started": 2, "success": 1, "REJECTED": 0, "CANCELED": 1, "BACKEND": 0, "OTHER": 0}
