from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2

from tests.integration import rows
from tests.integration.gates import Door, Gate
from tests.torchscript_models import BATCHING, ROWS, WAIT, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

    StartServer = Callable[..., AbstractContextManager[ServerProcess]]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """The door of the model `worker`."""
    return Door(tmp_path / "door")


@pytest.fixture
def repository(tmp_path: Path, door: Door) -> Path:
    """A repository with one model of rows, `worker`."""
    repository = tmp_path / "models"
    write_model(repository / "worker", Worker(door=door.path), BATCHING + ROWS)
    return repository


class Probes:
    """Everybody who may ask whether a server is ready."""

    def __init__(self, server: ServerProcess, channel: grpc.Channel) -> None:
        self._server = server
        self._inference = rows.stub(channel)
        self._health = health_pb2_grpc.HealthStub(channel)

    def watch(self) -> Iterator[int]:
        """The status, each time it changes."""
        return (answer.status for answer in self._health.Watch(health_pb2.HealthCheckRequest()))

    def answers(self) -> set[bool]:
        """Whether the server is ready, as each of them is told."""
        status, _ = self._server.get("/readyz")
        checked = self._health.Check(health_pb2.HealthCheckRequest())
        ready = self._inference.ServerReady(service_pb2.ServerReadyRequest())
        return {status == 200, checked.status == SERVING, ready.ready}

    def alive(self) -> bool:
        """Whether the process says that it lives."""
        status, _ = self._server.get("/healthz")
        return status == 200 and bool(self._inference.ServerLive(service_pb2.ServerLiveRequest()).live)


def test_ready_once_every_model_is_loaded_and_sigint_ends_at_once(repository: Path, start_server: StartServer) -> None:
    """While models load, probes are answered but not ready; then they are; SIGINT waits for no load balancer."""
    gate = Gate(write_model(repository / "gated", Worker(), BATCHING + ROWS))
    with start_server(repository, "--lame-duck-seconds", "600", loaded=False) as server:
        gate.let_pass()  # the configuration is checked first
        held = gate.wait()  # loading has begun
        with rows.own_connection(server.grpc_address) as channel:
            probes = Probes(server, channel)
            statuses = probes.watch()
            assert next(statuses) == NOT_SERVING
            assert probes.answers() == {False}
            assert probes.alive()
            os.close(held)
            assert next(statuses) == SERVING
            assert probes.answers() == {True}
            server.send_signal(signal.SIGINT)
            assert next(statuses) == NOT_SERVING
            assert server.wait_exit() == 0


def test_sigterm_keeps_answering_and_loses_nothing_that_was_accepted(
    repository: Path, start_server: StartServer, door: Door
) -> None:
    """Not ready at once, but still answering; what is accepted when the lame duck ends is answered; a clean exit."""
    with (
        start_server(repository, "--lame-duck-seconds", "600") as server,
        rows.own_connection(server.grpc_address) as channel,
    ):
        probes, infer = Probes(server, channel), rows.stub(channel).ModelInfer
        statuses = probes.watch()
        assert next(statuses) == SERVING
        server.send_signal(signal.SIGTERM)
        assert next(statuses) == NOT_SERVING
        assert probes.answers() == {False}
        assert probes.alive()
        assert rows.answers(infer(rows.request("worker", 7))) == [7]
        accepted = [infer.future(rows.request("worker", number, WAIT)) for number in range(20)]
        server.metrics_when(lambda page: page.total("grpc_server_started", grpc_method="ModelInfer") == 21)
        server.send_signal(signal.SIGINT)  # the person at the terminal has seen enough of the lame duck
        assert list(statuses) == []
        refused = infer.future(rows.request("worker", 7), timeout=30)
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert not any(call.done() for call in accepted)
        door.open()
        assert [rows.answers(call.result()) for call in accepted] == [[number] for number in range(20)]
        assert server.wait_exit() == 0
        assert "Traceback" not in server.log


def test_callers_see_nothing_but_answers_until_they_are_refused(repository: Path, start_server: StartServer) -> None:
    """While a server stops, each request of callers who never pause is answered, or refused as one for elsewhere."""
    with (
        start_server(repository, "--lame-duck-seconds", "0.5") as server,
        ThreadPoolExecutor(8) as threads,
    ):
        refusals = [threads.submit(_call_until_refused, server.grpc_address) for _ in range(8)]
        server.metrics_when(lambda page: page.total("nv_inference_request_success") > 100)
        server.send_signal(signal.SIGTERM)
        assert {refusal.result() for refusal in refusals} == {grpc.StatusCode.UNAVAILABLE}
        assert server.wait_exit() == 0


def _call_until_refused(address: str) -> Any:
    with rows.own_connection(address) as channel:
        for number in itertools.count():
            call = rows.stub(channel).ModelInfer.future(rows.request("worker", number, 5))
            if call.code() is not grpc.StatusCode.OK:
                break
            assert rows.answers(call.result()) == [number]
        return call.code()


def test_connections_that_stay_cannot_keep_the_server(repository: Path, start_server: StartServer) -> None:
    """After the lame duck streams answer what they have read and end, be they idle or busy; watchers are let go."""
    with (
        start_server(repository, "--lame-duck-seconds", "0.2", "--grace-seconds", "600") as server,
        rows.own_connection(server.grpc_address) as channel,
        _connected(server.http_address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n"),  # a scraper that never says more
        _connected(server.grpc_address, b""),  # a port scanner
    ):
        statuses = Probes(server, channel).watch()
        assert next(statuses) == SERVING
        stream = rows.stub(channel).ModelStreamInfer
        silence = threading.Event()
        idle = stream(_one_and_silence(silence))
        assert rows.answers(next(idle).infer_response) == [0]
        busy = stream(rows.request("worker", number, 10) for number in itertools.count())
        assert rows.answers(next(busy).infer_response) == [0]
        server.send_signal(signal.SIGTERM)
        answered = [0]
        with pytest.raises(grpc.RpcError, match="the server is stopping"):
            _collect(busy, answered)
        assert answered == list(range(len(answered)))
        with pytest.raises(grpc.RpcError, match="the server is stopping"):
            next(idle)
        silence.set()
        assert busy.code() is idle.code() is grpc.StatusCode.UNAVAILABLE
        assert list(statuses) == [NOT_SERVING]
        assert server.wait_exit() == 0
        assert "Traceback" not in server.log


def _collect(responses: Iterator[Any], answered: list[int]) -> None:
    for response in responses:
        answered += rows.answers(response.infer_response)


def _one_and_silence(silence: threading.Event) -> Iterator[Any]:
    yield rows.request("worker", 0)
    silence.wait()


def test_sigterm_while_loading_ends_the_server_before_it_was_ready(repository: Path, start_server: StartServer) -> None:
    """A server that is told to go while it loads never says that it is ready, loads nothing more, and exits cleanly."""
    gate = Gate(write_model(repository / "gated", Worker(), BATCHING + ROWS))
    with start_server(repository, "--lame-duck-seconds", "600", loaded=False) as server:
        gate.let_pass()
        held = gate.wait()
        with rows.own_connection(server.grpc_address) as channel:
            statuses = Probes(server, channel).watch()
            assert next(statuses) == NOT_SERVING
            server.send_signal(signal.SIGTERM)
            os.close(held)
            assert list(statuses) == []
        assert server.wait_exit() == 0
        assert "worker version 1" not in server.log


def test_a_model_that_does_not_return_cannot_keep_the_server(repository: Path, start_server: StartServer) -> None:
    """Unloading it and leaving it block nobody; after `grace_seconds` the server gives up, tells all, and ends."""
    explicit = ["--model-control-mode", "explicit", "--load-model", "worker"]
    with (
        start_server(repository, *explicit, "--lame-duck-seconds", "0", "--grace-seconds", "0.2") as server,
        rows.own_connection(server.grpc_address) as channel,
    ):
        inference = rows.stub(channel)
        stuck = inference.ModelInfer.future(rows.request("worker", 1, WAIT))
        server.metrics_when(lambda page: page.total("coordserve_instances_busy") == 1)
        patient = inference.ModelInfer.future(rows.request("worker", 2, WAIT))
        server.metrics_when(lambda page: page.total("coordserve_inflight_requests") == 2)
        inference.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="worker"))
        stuck.cancel()
        server.metrics_when(lambda page: page.total("grpc_server_handled", grpc_code="CANCELLED") == 1)
        assert Probes(server, channel).alive()
        server.send_signal(signal.SIGTERM)
        assert (patient.code(), patient.details()) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")
        assert server.wait_exit() == 1
        assert "worker: requests were still running at the end of the grace period" in server.log
        assert "Traceback" not in server.log


def _connected(address: str, data: bytes) -> Any:
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(data)
    return connection
