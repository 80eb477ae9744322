from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.integration import rows
from tests.integration.control import load, states, unload
from tests.serving import PATIENCE_SECONDS
from tests.torchscript_models import BATCHING, ROWS, Constant, save_module, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

POLL = ("--model-control-mode", "poll", "--repository-poll-seconds", "0.1")


def _await_answer(inference: Any, name: str, expected: list[int] | grpc.StatusCode) -> None:
    """Ask until the model answers as `expected`."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (answer := _answer(inference, name)) != expected:
        assert time.monotonic() < end, f"{name} still answers {answer}"


def _answer(inference: Any, name: str) -> list[int] | grpc.StatusCode:
    call = inference.ModelInfer.future(rows.request(name, 0))
    return rows.answers(call.result()) if call.code() is grpc.StatusCode.OK else call.code()


def test_the_server_follows_its_directory(
    tmp_path: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> None:
    """Versions and models come, change, break, are mended and go, without one request to the server."""
    write_model(tmp_path / "first", Constant(1), BATCHING + ROWS)
    with start_server(tmp_path, *POLL) as server, rows.own_connection(server.grpc_address) as channel:
        inference = rows.stub(channel)
        assert _answer(inference, "first") == [1]
        save_module(Constant(2), tmp_path / "first" / "2" / "model.pt")
        write_model(tmp_path / "second", Constant(3), BATCHING + ROWS)
        _await_answer(inference, "first", [2])
        _await_answer(inference, "second", [3])
        (tmp_path / "second" / "1" / "model.pt").write_bytes(b"junk")
        server.wait_for("second: not loaded: model.pt is no TorchScript module")
        assert _answer(inference, "second") == [3]
        save_module(Constant(4), tmp_path / "second" / "1" / "model.pt")
        _await_answer(inference, "second", [4])
        assert server.log.count("second: not loaded") == 1
        shutil.rmtree(tmp_path / "second")
        _await_answer(inference, "second", grpc.StatusCode.NOT_FOUND)
        assert states(inference, "second") == {}
        assert states(inference, "first") == {"2": ("READY", "")}


@pytest.mark.parametrize("options", [(), POLL])
def test_only_explicit_control_takes_requests_to_load(
    tmp_path: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]], options: tuple[str, ...]
) -> None:
    """Otherwise they are refused, with Triton's text."""
    write_model(tmp_path / "model", Constant(1), BATCHING + ROWS)
    with start_server(tmp_path, *options) as server, rows.own_connection(server.grpc_address) as channel:
        inference = rows.stub(channel)
        for change in (load, unload):
            with pytest.raises(grpc.RpcError, match="explicit model load / unload is not allowed") as caught:
                change(inference, "model")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert _answer(inference, "model") == [1]
