"""Both servers and the load generator, watched by one Prometheus."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.triton.wheel import installed_triton
from tests.integration import rows
from tests.integration.gates import Door
from tests.integration.monitored import infer, repeating, write_models, write_net
from tests.integration.monitoring import Prometheus, prometheus
from tests.serving import TRITON, TRITON_START_SECONDS, ServerProcess, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRITON_FLAGS = ("--metrics-config=summary_latencies=true", "--metrics-interval-ms=1000")
LOAD = ("run", "poisson", "--model", "colours", "--rate", "3", "--duration", "1h", "--warm-up", "0")


@dataclass(frozen=True)
class Site:
    """This server with its models and the door of one of them, stubs of both servers, and who watches."""

    watch: Prometheus
    server: ServerProcess
    ours: Any
    triton: Any
    models: Path
    door: Door


@contextlib.contextmanager
def open_site(directory: Path) -> Iterator[Site]:
    """Start all of it, with steady traffic; what they keep goes into `directory`."""
    for name in ("ours", "triton", "prometheus"):
        (directory / name).mkdir()
    door = Door(directory / "door")
    door.open()
    with contextlib.ExitStack() as running:
        triton = running.enter_context(_triton(directory / "triton"))
        server = running.enter_context(_server(directory / "ours", door))
        load = running.enter_context(_load(server))
        triton.wait_loaded(TRITON_START_SECONDS)
        stubs = [rows.stub(running.enter_context(rows.own_connection(each.grpc_address))) for each in (server, triton)]
        for stub in stubs:
            running.enter_context(repeating(infer(stub)))
        targets = {
            "coordserve": (server.http_address, {"server": "python"}),
            "triton": (triton.http_address, {"server": "triton"}),
            "loadgen": (load, {}),
        }
        watch = running.enter_context(prometheus(directory / "prometheus", targets))
        yield Site(watch, server, *stubs, directory / "ours", door)


@contextlib.contextmanager
def _server(models: Path, door: Door) -> Iterator[ServerProcess]:
    write_models(models, door.path)
    flags = (f"--load-model={path.name}" for path in models.iterdir())
    with started(models, "--model-control-mode", "explicit", *flags) as server:
        yield server


@contextlib.contextmanager
def _triton(models: Path) -> Iterator[ServerProcess]:
    """A real Triton that starts meanwhile."""
    write_net(models)
    installed_triton()
    with started(models, *TRITON_FLAGS, command=TRITON, loaded=False) as triton:
        yield triton


@contextlib.contextmanager
def _load(server: ServerProcess) -> Iterator[str]:
    """The load generator, which has images classified; the address of its metrics."""
    command = (sys.executable, "-m", "loadtest", *LOAD, "--url", server.grpc_address)
    with contextlib.closing(ServerProcess([*command, "--no-calibration", "--metrics-port", "0"])) as generator:
        yield generator.wait_for("metrics on http://([^/]+)/metrics")[1]
