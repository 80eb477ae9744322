"""A real Triton and this server load, warm up and follow their repository alike."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.integration import rows
from tests.parity import models
from tests.parity.answers import TIMEOUT_SECONDS, ask
from tests.parity.cases import LOADING, POLLED, WARM_UPS
from tests.parity.comparison import answered_otherwise, fail_if
from tests.parity.conftest import side_by_side
from tests.serving import TRITON_START_SECONDS
from tests.torchscript_models import BATCHING, ROWS, Constant, save_module, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.gates import Door
    from tests.parity.conftest import Pair, Server

CONSTANT = BATCHING + ROWS + "instance_group [ { count: 1 kind: KIND_CPU } ]"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of `explicit`."""
    return tmp_path_factory.mktemp("control")


@pytest.fixture(scope="module")
def door(repository: Path) -> Door:
    """The door in the warm-up of the model `waiting`."""
    return models.write_waiting_model(repository)


@pytest.fixture(scope="module")
def explicit(repository: Path, door: Door) -> Iterator[Pair]:
    """Both with explicit model control and nothing loaded."""
    assert door
    models.write_warm_ups(repository)
    flags = ["--model-control-mode=explicit"]
    with side_by_side(repository, flags, flags) as pair:
        yield pair


@pytest.mark.timeout(2 * TRITON_START_SECONDS)
def test_warm_ups_of_config_pbtxt_are_run_alike(explicit: Pair) -> None:
    """What is good loads, what cannot be run or fails does not; each step is answered alike."""
    fail_if(*(answered_otherwise(explicit, case) for case in WARM_UPS))


@pytest.mark.timeout(2 * TRITON_START_SECONDS)
def test_a_model_that_is_loading_is_answered_alike(explicit: Pair, door: Door) -> None:
    """Requests that come too early are told so, and are answered once the model is loaded."""
    request = pb.RepositoryModelLoadRequest(model_name="waiting")
    servers = (explicit.triton, explicit.ours)
    loads = [server.inference.RepositoryModelLoad.future(request, timeout=TRITON_START_SECONDS) for server in servers]
    try:
        for server in servers:
            _wait_for(server, "LOADING")
        fail_if(*(answered_otherwise(explicit, case) for case in LOADING))
    finally:
        door.open()
    for load, server in zip(loads, servers, strict=True):
        load.result()
        assert rows.answers(server.inference.ModelInfer(rows.request("waiting", 7))) == [7]


@pytest.mark.timeout(3 * TRITON_START_SECONDS)
def test_both_follow_their_directory(tmp_path: Path) -> None:
    """With poll control, versions and models that come, change, break and go do so for the callers of both servers."""
    write_model(tmp_path / "first", Constant(1), CONSTANT)
    poll = "--model-control-mode=poll"
    with side_by_side(tmp_path, [poll, "--repository-poll-secs=1"], [poll, "--repository-poll-seconds=1"]) as pair:
        fail_if(*(answered_otherwise(pair, case) for case in POLLED))
        save_module(Constant(2), tmp_path / "first" / "2" / "model.pt")
        _wait_for_answers(pair, "first", "[[2]]")
        write_model(tmp_path / "second", Constant(3), CONSTANT)
        _wait_for_answers(pair, "second", "[[3]]")
        (tmp_path / "second" / "config.pbtxt").write_text("max_batch_size: lots")
        save_module(Constant(4), tmp_path / "first" / "2" / "model.pt")
        _wait_for_answers(pair, "first", "[[4]]")
        _wait_for_answers(pair, "second", "[[3]]")
        shutil.rmtree(tmp_path / "first" / "2")
        _wait_for_answers(pair, "first", "[[1]]")
        shutil.rmtree(tmp_path / "second")
        _wait_for_answers(pair, "second", "NOT_FOUND: Request for unknown model: 'second' has no available versions")


def _wait_for(server: Server, state: str) -> None:
    end = time.monotonic() + TRITON_START_SECONDS
    while state not in ask(server, "RepositoryIndex", pb.RepositoryIndexRequest()):
        assert time.monotonic() < end, f"nothing is {state}"
        time.sleep(0.05)


def _wait_for_answers(pair: Pair, model: str, answer: str) -> None:
    end = time.monotonic() + 2 * TIMEOUT_SECONDS
    for server in (pair.triton, pair.ours):
        while answer not in (found := ask(server, "ModelInfer", rows.request(model, 0))):
            assert time.monotonic() < end, f"{model} still answers {found}"
            time.sleep(0.05)
