"""`python -m server check` says of a model what both real servers then do with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from deploy.triton.wheel import installed_triton
from server.check.check import check_repository
from server.check.finding import Servers, Severity
from tests import serving
from tests.odd_models import ODD
from tests.parity.answers import TIMEOUT_SECONDS
from tests.parity.conftest import TRITON
from tests.serving import TRITON_START_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED = [odd.name for odd in ODD if odd.asked]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models that can be asked for; Triton takes a hidden directory for a model, too."""
    directory = tmp_path_factory.mktemp("odd")
    for odd in ODD:
        if odd.asked:
            odd.write(directory)
    (directory / ".hidden").mkdir()
    return directory


@pytest.fixture(scope="module")
def refused(repository: Path) -> dict[Servers, set[str]]:
    """The models with an error, for each server, as check says."""
    found: dict[Servers, set[str]] = {Servers.TRITON: set(), Servers.COORDSERVE: set()}
    for finding in check_repository(repository):
        model = finding.file.relative_to(repository).parts[0]
        for server, names in found.items():
            if finding.severity is Severity.ERROR and finding.servers in (server, Servers.BOTH):
                names.add(model)
    return found


@contextlib.contextmanager
def _asked(process: serving.ServerProcess) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(process.grpc_address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def _ready(inference: service_pb2_grpc.GRPCInferenceServiceStub) -> set[str]:
    index = inference.RepositoryIndex(pb.RepositoryIndexRequest(ready=True), timeout=TIMEOUT_SECONDS)
    return {model.name for model in index.models}


@pytest.mark.timeout(2 * TRITON_START_SECONDS)
def test_triton_refuses_what_check_calls_an_error_of_triton(repository: Path, refused: dict[Servers, set[str]]) -> None:
    """The real Triton loads every model without such an error and no other; a hidden directory is no model."""
    installed_triton()
    flags = ("--exit-on-error=false", "--model-load-thread-count=4")
    with serving.started(repository, *flags, command=TRITON, loaded=False) as process:
        process.wait_loaded(TRITON_START_SECONDS)
        with _asked(process) as inference:
            ready = _ready(inference)
        assert "failed to load model '.hidden'" in process.log
    assert ready == {*ASKED, ".hidden"} - refused[Servers.TRITON]


def test_this_server_refuses_what_check_calls_its_error(repository: Path, refused: dict[Servers, set[str]]) -> None:
    """This server loads, when asked, every model without such an error and no other."""
    with serving.started(repository, "--model-control-mode", "explicit") as process, _asked(process) as inference:
        for name in ASKED:
            with contextlib.suppress(grpc.RpcError):
                inference.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=TIMEOUT_SECONDS)
        ready = _ready(inference)
    assert ready == {*ASKED} - refused[Servers.COORDSERVE]
