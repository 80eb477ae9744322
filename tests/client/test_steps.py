"""Sending again what a broken connection swallowed."""

from __future__ import annotations

from typing import Any

import pytest

from client.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelLoading,
    RequestCancelled,
    ServerStopping,
    ServerUnreachable,
)
from client.steps import Rpc, Steps, Work, once, past_a_restart, repeatable

RPC = Rpc("Classify", None)
PATIENT = Rpc("Classify", None, wait_for_ready=True)


def finish(steps: Steps[Any], response: str) -> Any:
    """Answers the last step and returns what the steps were for."""
    with pytest.raises(StopIteration) as stopped:
        steps.send(response)
    return stopped.value.value


@pytest.mark.parametrize("send", [once, past_a_restart, repeatable])
def test_answer_is_returned(send: Any) -> None:
    """One request is enough when nothing goes wrong."""
    steps = send(RPC)

    assert next(steps) == RPC
    assert finish(steps, "answer") == "answer"


@pytest.mark.parametrize("broken", [ServerUnreachable("closed"), RequestCancelled("gone")])
def test_broken_connection_is_waited_for_once(broken: Exception) -> None:
    """The second attempt waits for the server to come back."""
    steps = repeatable(RPC)
    next(steps)

    assert steps.throw(broken) == PATIENT
    assert finish(steps, "answer") == "answer"


def test_server_that_does_not_come_back_is_unreachable() -> None:
    """The reason is the broken connection, not the deadline that ended the waiting."""
    broken = ServerUnreachable("closed")
    steps = repeatable(RPC)
    next(steps)
    steps.throw(broken)

    with pytest.raises(ServerUnreachable) as raised:
        steps.throw(DeadlineExceeded("late"))
    assert raised.value is broken


def test_server_that_restarts_is_asked_until_it_answers() -> None:
    """After a pause each time, whether it stops or loads; a connection that breaks is waited for."""
    steps = repeatable(RPC)
    next(steps)

    for restarting in [ServerStopping("the server is stopping")] * 2 + [ModelLoading("it is being loaded")] * 2:
        assert isinstance(steps.throw(restarting), Work)
        assert next(steps) == PATIENT
    assert steps.throw(ServerUnreachable("closed")) == PATIENT
    assert isinstance(steps.throw(ModelLoading("it is being loaded")), Work)
    assert next(steps) == PATIENT
    assert finish(steps, "answer") == "answer"


def test_server_that_stops_and_has_no_successor() -> None:
    """The reason is that it stopped, not the deadline."""
    stopping = ServerStopping("the server is stopping")
    steps = repeatable(RPC)
    next(steps)
    steps.throw(stopping)
    next(steps)

    with pytest.raises(ServerStopping) as raised:
        steps.throw(DeadlineExceeded("late"))
    assert raised.value is stopping


def test_without_a_connection_only_a_restart_is_waited_for() -> None:
    """Where nobody was ever reached, that is told at once."""
    steps = past_a_restart(RPC)
    next(steps)
    assert isinstance(steps.throw(ModelLoading("it is being loaded")), Work)
    assert next(steps) == PATIENT

    with pytest.raises(ServerUnreachable):
        steps.throw(ServerUnreachable("nobody"))


@pytest.mark.parametrize("error", [InvalidRequest("no"), DeadlineExceeded("late")])
def test_other_failures_are_final(error: Exception) -> None:
    """What the server has decided is not asked again."""
    steps = repeatable(RPC)
    next(steps)

    with pytest.raises(type(error)):
        steps.throw(error)
