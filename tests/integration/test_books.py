"""Every request ends in exactly one outcome, whatever becomes of it, and the page tells which."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.integration import rows
from tests.integration.books import Ledger, waiting
from tests.integration.conftest import NARROW
from tests.integration.gates import Door
from tests.integration.images import classify, picture
from tests.integration.kinds import CLASSIFY, INFER, KINDS, Kind
from tests.torchscript_models import ROWS, WAIT, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

    StartServer = Callable[..., AbstractContextManager[ServerProcess]]


def _impatient() -> Any:
    request = rows.request("costly", 1, WAIT)
    request.parameters["timeout"].int64_param = 1
    return request


def _send(channel: grpc.Channel, method: str, *messages: Any, **options: Any) -> Any:
    """One call; for gRPC one message and a stream of one are the same."""
    call = channel.stream_stream(f"/{method}", request_serializer=_bytes, response_deserializer=None)
    return call(iter(messages), **options)


def _bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def _end(*calls: Any) -> None:
    for call in calls:
        with contextlib.suppress(grpc.RpcError):
            list(call)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_call_moves_its_counters_and_no_others(server: ServerProcess, channel: grpc.Channel, kind: Kind) -> None:
    """Good or bad, each call has one code, each request and each image one outcome, and each failure one reason."""
    ledger = Ledger(server)
    _end(_send(channel, kind.method, *kind.messages))
    assert ledger.settle() == kind.moved


def test_a_request_that_waits_too_long_moves_its_counters(
    server: ServerProcess, channel: grpc.Channel, busy: Callable[[str], Any], door: Door
) -> None:
    """Its time in the queue is over while the instance works for another one."""
    ledger = Ledger(server)
    running = busy("costly")
    _end(_send(channel, INFER + "Infer", _impatient()))
    door.open()
    assert rows.answers(running.result()) == [1000]
    assert ledger.settle() == {
        "call ModelInfer OK": 1,
        "call ModelInfer UNAVAILABLE": 1,
        "accepted costly": 2,
        "success costly": 1,
        "failure costly REJECTED": 1,
        "rejected queue_timeout": 1,
    }


def test_callers_that_leave_move_their_counters(
    server: ServerProcess, channel: grpc.Channel, busy: Callable[[str], Any], door: Door
) -> None:
    """Cancelled while computing, while queued, and, in a stream: each once, and not what waits for a place."""
    ledger = Ledger(server)
    running = busy("costly")
    queued = _send(channel, INFER + "Infer", rows.request("costly", 1))
    server.metrics_when(waiting("costly", 1))
    stream = _send(channel, INFER + "StreamInfer", *(rows.request("costly", number) for number in range(50)))
    # A call may hold half of the queue, which is 32 places: the others of its requests wait before it.
    server.metrics_when(waiting("costly", 33))
    server.metrics_when(lambda samples: samples.total("coordserve_inflight_requests", model="costly") == 34)
    for call in (running, queued, stream):
        call.cancel()
    server.metrics_when(lambda samples: samples.total("coordserve_inflight_requests", model="costly") == 0)
    door.open()
    moved = ledger.settle()
    accepted = moved.pop("accepted costly")
    assert 34 <= accepted < 52  # a place that one of the stream gives up, another one may still take
    assert moved == {
        "call ModelInfer CANCELLED": 2,
        "call ModelStreamInfer CANCELLED": 1,
        "rejected cancelled": 3,
        "failure costly CANCELED": accepted,
    }


def test_a_caller_that_leaves_while_its_images_are_decoded_moves_its_counters(
    server: ServerProcess, channel: grpc.Channel
) -> None:
    """Images that were decoded may have been answered; every other one was cancelled."""
    ledger = Ledger(server)
    large = picture(200, 0, 0, size=(4000, 4000))
    call = _send(channel, CLASSIFY, classify(*([large] * 40)))
    server.metrics_when(lambda samples: samples.total("coordserve_inflight_requests", model="colours") > 0)
    call.cancel()
    moved = ledger.settle()
    answered = moved.pop("success colours", 0)
    assert answered < 40
    assert moved == {
        "call Classify CANCELLED": 1,
        "rejected cancelled": 1,
        "accepted colours": 40,
        "failure colours CANCELED": 40 - answered,
    }


@pytest.fixture
def own_server(tmp_path: Path, start_server: StartServer) -> Iterator[tuple[ServerProcess, Door]]:
    """A server with one model behind a door, for tests that end it."""
    door = Door(tmp_path / "door")
    (tmp_path / "models").mkdir()
    write_model(tmp_path / "models" / "narrow", Worker(door=door.path), NARROW + ROWS)
    mortal = tmp_path / "models" / "mortal"
    (mortal / "1").mkdir(parents=True)
    (mortal / "config.pbtxt").write_text('backend: "python" max_batch_size: 1 instance_group [ { count: 1 } ]' + ROWS)
    (mortal / "1" / "model.py").write_text(MORTAL)
    with start_server(tmp_path / "models", "--lame-duck-seconds", "0") as server:
        yield server, door


MORTAL = """
class Death(BaseException):
    pass


class TritonPythonModel:
    def execute(self, requests):
        if any(request.request_id() for request in requests):
            raise Death
        raise ValueError
"""


def test_requests_of_a_dying_instance_move_their_counters(own_server: tuple[ServerProcess, Door]) -> None:
    """The one that it dies of has failed by the model, later ones come too late; the model's series stay, not ready."""
    server, _ = own_server
    ledger = Ledger(server)
    with grpc.insecure_channel(server.grpc_address) as channel:
        for _ in range(2):
            _end(_send(channel, INFER + "Infer", rows.request("mortal", 1)))
    assert ledger.settle() == {
        "call ModelInfer INTERNAL": 1,
        "rejected model": 1,
        "accepted mortal": 1,
        "failure mortal BACKEND": 1,
        "call ModelInfer UNAVAILABLE": 1,
        "rejected not_ready": 1,
    }
    assert server.metrics().total("coordserve_model_ready", model="mortal") == 0


def test_the_books_balance_while_the_server_stops(own_server: tuple[ServerProcess, Door]) -> None:
    """What was accepted is in flight until its end, what comes too late is refused, and both are told to the last."""
    server, door = own_server
    with grpc.insecure_channel(server.grpc_address) as channel:
        ledger = Ledger(server)
        running = _send(channel, INFER + "Infer", rows.request("narrow", 1, WAIT))
        server.metrics_when(waiting("narrow", 0))
        queued = [_send(channel, INFER + "Infer", rows.request("narrow", number)) for number in range(3)]
        server.metrics_when(waiting("narrow", 3))
        server.send_signal(signal.SIGTERM)
        late = health_pb2_grpc.HealthStub(channel)
        while _code(late) is not grpc.StatusCode.UNAVAILABLE:
            pass
        samples = server.metrics()
        assert samples.total("coordserve_inflight_requests") == samples.total("coordserve_accepted") == 4
        assert samples.total("coordserve_rejected", reason="shutdown") >= 1
        door.open()
        with contextlib.suppress(ConnectionError):  # it may be gone before its books can be read once more
            moved = ledger.settle()
            assert moved.pop("success narrow") == moved.pop("accepted narrow") == 4
            assert moved["call ModelInfer OK"] == 4
            assert not any(name.startswith("failure") for name in moved)
        assert len([answer for call in (running, *queued) for answer in call]) == 4
    assert server.wait_exit() == 0


def _code(health: Any) -> grpc.StatusCode:
    try:
        health.Check(health_pb2.HealthCheckRequest())
    except grpc.RpcError as error:
        return error.code()  # type: ignore[no-any-return,attr-defined] # a call is an error, too
    return grpc.StatusCode.OK
