from __future__ import annotations

import asyncio
import contextlib
import io
import os
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import torch
from tritonclient.grpc import service_pb2

from tests.integration import rows
from tests.integration.books import waiting
from tests.integration.control import load, states, unload
from tests.integration.gates import Gate
from tests.torchscript_models import BATCHING, ROWS, Constant, Worker, save_module, write_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.integration.gates import Door
    from tests.serving import Samples, ServerProcess


class Mute(torch.nn.Module):
    """A module without forward()."""

    @torch.jit.export
    def speak(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer."""
        return rows


class Floats(torch.nn.Module):
    """Gives another type than its configuration promises."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer."""
        return rows[:, :1].float()


class Picky(torch.nn.Module):
    """Raises on anything."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Do not answer."""
        assert rows.shape[1] == 3
        return rows


HEAVY_BYTES = 32 << 20
RELOADS = 12


class Heavy(torch.nn.Module):
    """Answers `value`, with a weight of 32 MiB."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.full((HEAVY_BYTES // 8,), value, dtype=torch.int64))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer."""
        return self.weight[: rows.shape[0]].unsqueeze(1) + rows[:, :1] * 0


def _weights() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, file)
    return file.getvalue()


NO_MODULE = "model.pt is no TorchScript module that can be loaded"
BROKEN: dict[str, tuple[bytes | torch.nn.Module, str]] = {
    "junk": (b"junk", NO_MODULE),
    "empty": (b"", NO_MODULE),
    "weights": (_weights(), NO_MODULE),
    "mute": (Mute(), "the module has no method forward"),
    "floats": (Floats(), "output OUTPUT__0 of the model has type torch.float32, config.pbtxt says INT64"),
    "picky": (Picky(), "the module fails on a batch of zeros: "),
}


@contextlib.asynccontextmanager
async def hammering(address: str, model: str) -> AsyncIterator[list[int]]:
    """Four callers who ask all the time; in the end each request must have had its own answer."""
    answered: list[int] = []
    done = asyncio.Event()

    async def call(channel: grpc.aio.Channel, caller: int) -> None:
        infer = rows.stub(channel).ModelInfer
        while not done.is_set():
            identity = caller * 1_000_000 + len(answered)
            assert rows.answers(await infer(rows.request(model, identity, 2))) == [identity]
            answered.append(identity)

    async with grpc.aio.insecure_channel(address) as channel:
        callers = asyncio.gather(*(call(channel, caller) for caller in range(4)))
        yield answered
        done.set()
        await callers


def test_a_broken_model_is_reported_and_the_others_serve(server: ServerProcess, inference: Any) -> None:
    """A model that does not load at the start is told in the log and in the index; the server is ready without it."""
    assert f"broken: not loaded: {NO_MODULE}" in server.log
    assert states(inference, "broken") == {"1": ("UNAVAILABLE", NO_MODULE)}
    assert states(inference, "worker") == {"1": ("READY", "")}
    assert server.get("/readyz")[0] == 200
    assert inference.ModelInfer.future(rows.request("broken", 7)).code() is grpc.StatusCode.NOT_FOUND


async def test_reloads_under_load_fail_no_request(server: ServerProcess, repository: Path) -> None:
    """A model is replaced again and again while callers use it, and none of them notices."""
    write_model(repository / "reloaded", Worker(), BATCHING + ROWS)
    async with grpc.aio.insecure_channel(server.grpc_address) as channel:
        inference = rows.stub(channel)
        await load(inference, "reloaded")
        async with hammering(server.grpc_address, "reloaded") as answered:
            for _ in range(8):
                before = len(answered)
                await load(inference, "reloaded")
                assert len(answered) > before


async def test_reload_after_reload_leaves_nothing_behind(server: ServerProcess, repository: Path) -> None:
    """Each answer is the old version's or the new one's, none fails, and memory does not grow with each reload."""
    model = write_model(repository / "heavy", Heavy(0), BATCHING + ROWS)
    answered: list[int] = []
    latest, done, progress = 0, asyncio.Event(), asyncio.Event()

    async def call(channel: grpc.aio.Channel) -> None:
        while not done.is_set():
            before = latest
            [answer] = rows.answers(await rows.stub(channel).ModelInfer(rows.request("heavy", 0)))
            assert before <= answer <= latest + 1
            answered.append(answer)
            progress.set()

    async with grpc.aio.insecure_channel(server.grpc_address) as channel:
        await load(rows.stub(channel), "heavy")
        callers = asyncio.gather(*(call(channel) for _ in range(4)))
        memory = []
        for version in range(1, RELOADS + 1):
            before = len(answered)
            save_module(Heavy(version), model / "1" / "model.pt")
            await load(rows.stub(channel), "heavy")
            latest = version
            while len(answered) < before + 40:
                progress.clear()
                await progress.wait()
            memory.append(server.metrics().total("process_resident_memory_bytes"))
        done.set()
        await callers
    assert len(answered) >= 40 * RELOADS
    assert memory[-1] - memory[2] < HEAVY_BYTES * (RELOADS - 3) / 2


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_new_version_changes_nothing(server: ServerProcess, repository: Path, kind: str) -> None:
    """Loading tells what is wrong with the new version, and the old one goes on serving, all the time."""
    content, reason = BROKEN[kind]
    model = write_model(repository / kind, Worker(), BATCHING + ROWS)
    async with grpc.aio.insecure_channel(server.grpc_address) as channel:
        inference = rows.stub(channel)
        await load(inference, kind)
        if isinstance(content, bytes):
            (model / "2").mkdir()
            (model / "2" / "model.pt").write_bytes(content)
        else:
            save_module(content, model / "2" / "model.pt")
        async with hammering(server.grpc_address, kind):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await load(inference, kind)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"load failed for model '{kind}': {reason}" in str(caught.value.details())
        response = await inference.ModelInfer(rows.request(kind, 5))
        assert (rows.answers(response), response.model_version) == ([5], "1")
        index = await inference.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        listed = {entry.version: (entry.state, entry.reason) for entry in index.models if entry.name == kind}
        assert listed["1"] == ("READY", "")
        assert listed["2"][0] == "UNAVAILABLE"
        assert listed["2"][1].startswith(reason)


def test_a_configuration_that_went_bad_changes_nothing(inference: Any, repository: Path) -> None:
    """A reload that finds no usable config.pbtxt, on disk or in the request, leaves the model as it is."""
    model = write_model(repository / "spoilt", Constant(1), BATCHING + ROWS)
    load(inference, "spoilt")
    for override in ("{", '{"platform": "tensorrt_plan"}', "[]", ""):
        with pytest.raises(grpc.RpcError) as caught:
            load(inference, "spoilt", config=override)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (model / "config.pbtxt").write_text("max_batch_size: lots", encoding="utf-8")
    with pytest.raises(grpc.RpcError, match=r"load failed for model 'spoilt': .*config.pbtxt:1:17"):
        load(inference, "spoilt")
    assert rows.answers(inference.ModelInfer(rows.request("spoilt", 0))) == [1]


@pytest.mark.parametrize("name", ["", ".", "..", "../models", "/etc", "reloaded/1", "nowhere", "a\0b", "x" * 10_000])
def test_a_name_that_is_no_model_loads_nothing(inference: Any, name: str) -> None:
    """Names from the wire lead nowhere but to the repository's own directories."""
    with pytest.raises(grpc.RpcError) as caught:
        load(inference, name)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"load failed for model '{name}"[:100] in str(caught.value.details())


def test_unloading_answers_what_was_accepted(
    server: ServerProcess, inference: Any, busy: Callable[[str], Any], door: Door
) -> None:
    """Requests that run or wait when a model is unloaded are answered; later ones are told that it is gone."""
    infer = inference.ModelInfer
    running = busy("single")
    accepted = [infer.future(rows.request("single", identity)) for identity in range(10)]
    server.metrics_when(waiting("single", 10))
    unload(inference, "single")
    assert states(inference, "single") == {"1": ("UNAVAILABLE", "unloaded")}
    with pytest.raises(grpc.RpcError, match="Request for unknown model: 'single' has no available versions") as caught:
        infer(rows.request("single", 1))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    load(inference, "single")  # beside the old one, which still has work
    assert rows.answers(infer(rows.request("single", 6))) == [6]
    assert not running.done()
    door.open()
    assert [rows.answers(call.result()) for call in accepted] == [[identity] for identity in range(10)]
    assert rows.answers(running.result()) == [1000]


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [3]),
        ("version_policy { latest { num_versions: 2 } }", [2, 3]),
        ("version_policy { all { } }", [1, 2, 3]),
        ("version_policy { specific { versions: [1, 2, 9] } }", [1, 2]),
    ],
)
def test_a_new_version_is_served_once_it_is_loaded_and_as_the_policy_says(
    inference: Any, repository: Path, tmp_path: Path, policy: str, served: list[int]
) -> None:
    """Versions that appear change nothing until the model is loaded; then those that the policy picks are served."""
    name = tmp_path.name
    model = write_model(repository / name, Constant(1), BATCHING + ROWS + policy)
    load(inference, name)
    for version in (2, 3):
        save_module(Constant(version), model / str(version) / "model.pt")
    for other in ("04", "0", "latest"):
        (model / other).mkdir()
    assert rows.answers(inference.ModelInfer(rows.request(name, 0))) == [1]
    load(inference, name)
    assert states(inference, name) == {str(version): ("READY", "") for version in served}
    assert rows.answers(inference.ModelInfer(rows.request(name, 0))) == [max(served)]
    metadata = inference.ModelMetadata(service_pb2.ModelMetadataRequest(name=name))
    assert list(metadata.versions) == [str(version) for version in served]
    for version in (1, 2, 3):
        call = inference.ModelInfer.future(rows.request(name, 0, version=str(version)))
        if version in served:
            assert rows.answers(call.result()) == [version]
        else:
            assert call.code() is grpc.StatusCode.NOT_FOUND


def test_many_loads_at_a_time_hold_up_nobody_else(server: ServerProcess, inference: Any, repository: Path) -> None:
    """While a load takes long and others wait for it, /metrics and requests are answered."""
    gate = Gate(write_model(repository / "slow", Constant(1), BATCHING + ROWS))
    request = service_pb2.RepositoryModelLoadRequest(model_name="slow")
    before = _loads(server.metrics())
    loads = [inference.RepositoryModelLoad.future(request) for _ in range(12)]
    held = gate.wait()
    server.metrics_when(lambda samples: _loads(samples) == before + 12)
    assert server.get("/metrics")[0] == 200
    assert rows.answers(inference.ModelInfer(rows.request("worker", 4))) == [4]
    os.close(held)
    for _ in loads[1:]:
        gate.let_pass()
    assert [load.code() for load in loads] == [grpc.StatusCode.OK] * 12


def _loads(samples: Samples) -> float:
    return samples.total("grpc_server_started", grpc_method="RepositoryModelLoad")
