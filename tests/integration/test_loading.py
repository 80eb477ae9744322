from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.addresses import why_unusable
from tests.integration import rows
from tests.integration.control import load, states, unload
from tests.serving import PATIENCE_SECONDS
from tests.torchscript_models import BATCHING, ROWS, Constant, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

    StartServer = Callable[..., AbstractContextManager[ServerProcess]]

# A row takes milliseconds, all the batches of a warm-up take hours.
LONG_WARM_UP = BATCHING.replace("max_batch_size: 8", "max_batch_size: 4096") + ROWS
ROUNDS = 20


def test_a_warm_up_does_not_outlive_a_sigterm(tmp_path: Path, start_server: StartServer) -> None:
    """The run that is under way ends, then the server: cleanly, and with no word of failure."""
    write_model(tmp_path / "long", Worker(ROUNDS), LONG_WARM_UP)
    with start_server(tmp_path, loaded=False) as server, rows.own_connection(server.grpc_address) as channel:
        inference = rows.stub(channel)
        while states(inference, "long") != {"1": ("LOADING", "")}:
            assert "not loaded" not in server.log
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit(PATIENCE_SECONDS) == 0
        assert "long: not loaded: the server is stopping" in server.log
        assert " ERROR " not in server.log


def test_with_strict_readiness_whatever_failed_must_be_repaired(tmp_path: Path, start_server: StartServer) -> None:
    """A model without a version has failed, one that was unloaded has not; a good load makes the server ready.

    Whoever watches is told, and what is good answers meanwhile.
    """
    for name in ("bare", "worker"):
        write_model(tmp_path / name, Worker(), BATCHING + ROWS)
    (tmp_path / "bare" / "1" / "model.pt").unlink()
    (tmp_path / "bare" / "1").rmdir()
    explicit = ["--model-control-mode", "explicit", "--load-model", "bare", "--load-model", "worker"]
    with (
        start_server(tmp_path, "--strict-readiness", *explicit) as server,
        rows.own_connection(server.grpc_address) as channel,
    ):
        inference = rows.stub(channel)
        assert server.get("/readyz")[0] == 503
        assert states(inference, "bare") == {"": ("", "no version directory that the version policy allows")}
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert rows.answers(inference.ModelInfer(rows.request("worker", 7))) == [7]
        unload(inference, "worker")
        write_model(tmp_path / "bare", Constant(3), BATCHING + ROWS)
        load(inference, "bare")
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        assert server.get("/readyz")[0] == 200
        assert rows.answers(inference.ModelInfer(rows.request("bare", 0))) == [3]


def test_with_strict_readiness_what_failed_may_be_taken_back(tmp_path: Path, start_server: StartServer) -> None:
    """Once a model that does not load is unloaded, nothing is missing."""
    for name in ("bare", "worker"):
        write_model(tmp_path / name, Worker(), BATCHING + ROWS)
    (tmp_path / "bare" / "1" / "model.pt").write_bytes(b"no module")
    explicit = ["--model-control-mode", "explicit", "--load-model", "bare", "--load-model", "worker"]
    with (
        start_server(tmp_path, "--strict-readiness", *explicit) as server,
        rows.own_connection(server.grpc_address) as channel,
    ):
        assert server.get("/readyz")[0] == 503
        unload(rows.stub(channel), "bare")
        assert server.get("/readyz")[0] == 200


def test_a_repository_may_hold_more_than_this_server_serves(tmp_path: Path, start_server: StartServer) -> None:
    """Models of other backends are reported, what is no model is passed over, and the rest serves."""
    write_model(tmp_path / "worker", Worker(), BATCHING + ROWS)
    write_model(tmp_path / "step", Worker(), 'backend: "onnxruntime" max_batch_size: 8' + ROWS)
    for name in ("lost+found", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    with start_server(tmp_path) as server, rows.own_connection(server.grpc_address) as channel:
        inference = rows.stub(channel)
        assert server.get("/readyz")[0] == 200
        [(state, reason)] = states(inference, "step").values()
        assert state == "UNAVAILABLE"
        assert 'backend "onnxruntime" is not served here, only "pytorch"' in reason
        assert states(inference, "lost+found") == {}
        assert rows.answers(inference.ModelInfer(rows.request("worker", 7))) == [7]


@pytest.mark.skipif(why_unusable("::1", 0) != "", reason="this machine has no IPv6")
def test_the_server_listens_on_ipv6(tmp_path: Path, start_server: StartServer) -> None:
    """IPv6 addresses work as the others do, and the log has them in a form that callers can use."""
    write_model(tmp_path / "worker", Worker(), BATCHING + ROWS)
    with start_server(tmp_path, "--host", "::1") as server, rows.own_connection(server.grpc_address) as channel:
        assert rows.answers(rows.stub(channel).ModelInfer(rows.request("worker", 7))) == [7]
        assert server.get("/readyz")[0] == 200
