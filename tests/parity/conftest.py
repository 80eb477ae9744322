"""A real Triton and this server, side by side on the same model repository."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

from deploy.triton.wheel import installed_triton
from tests import serving
from tests.parity import models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Ending the Pythons of its models takes long on a busy machine.
EXIT_SECONDS = 120
TRITON = (*serving.TRITON, f"--exit-timeout-secs={EXIT_SECONDS}")


@dataclass(frozen=True)
class Server:
    """A running server and ways to ask it."""

    process: serving.ServerProcess
    inference: Any
    health: Any


@dataclass(frozen=True)
class Pair:
    """The two servers to compare."""

    triton: Server
    ours: Server


@pytest.fixture(scope="session")
def explicit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with explicit model control and all good models loaded."""
    repository = tmp_path_factory.mktemp("repository")
    models.write_repository(repository)
    flags = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models.GOOD)]
    with side_by_side(repository, flags, flags) as pair:
        yield pair


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both without model control, on a repository whose only model does not load."""
    repository = tmp_path_factory.mktemp("failed")
    models.write_broken_model(repository)
    with side_by_side(repository, ["--exit-on-error=false"], ["--strict-readiness"]) as pair:
        yield pair


@contextlib.contextmanager
def side_by_side(repository: Path, triton_flags: list[str], our_flags: list[str]) -> Iterator[Pair]:
    """Start both on `repository`, and end them."""
    installed_triton()
    with serving.started(repository, *triton_flags, command=TRITON, loaded=False) as triton:
        triton.wait_loaded(serving.TRITON_START_SECONDS)
        # Not before: all the Pythons of Triton's models leave a busy machine little time for anybody else.
        with (
            serving.started(repository, *our_flags) as ours,
            _connected(triton) as theirs,
            _connected(ours) as mine,
        ):
            yield Pair(theirs, mine)


@contextlib.contextmanager
def _connected(process: serving.ServerProcess) -> Iterator[Server]:
    """Ask the server; at last end it as Ctrl-C does, which it must survive with status 0."""
    with grpc.insecure_channel(process.grpc_address) as channel:
        inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        yield Server(process, inference, health_pb2_grpc.HealthStub(channel))
    process.send_signal(signal.SIGINT)
    assert process.wait_exit(EXIT_SECONDS + serving.PATIENCE_SECONDS) == 0, process.log
