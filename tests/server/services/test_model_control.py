from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from server.load_error import LoadError
from server.repository import ModelRepository
from server.services.model_control import ModelControl
from tests.server.models import load_version, write_model
from tests.server.services.event_loop import settle
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from pathlib import Path

    from server.model import ModelVersion
    from server.model_config import ModelConfig


class GatedLoading:
    """Loads models as ever, but not before the gate is open; `reached` tells that a load has begun."""

    def __init__(self) -> None:
        self.loading: list[str] = []
        self.reached = asyncio.Event()
        self.gate = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        """Load a version."""
        self.loading.append(config.name)
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self.gate.wait(HANGING_SECONDS)
        return load_version(config, version, directory)


async def test_loads_take_turns_and_hold_up_nobody(tmp_path: Path) -> None:
    """While one load runs another waits, the event loop goes on, and each is told when it is ready."""
    for name in "ab":
        write_model(tmp_path / name, Constant(1))
    load = GatedLoading()
    repository, told = ModelRepository(tmp_path, load), []

    async def loaded() -> None:
        told.append([version.config.name for version in repository.ready()])

    control = ModelControl(repository, loaded)
    first, second = (asyncio.ensure_future(control.load(name, None)) for name in "ab")
    await load.reached.wait()
    assert (load.loading, told) == (["a"], [])
    load.gate.set()
    await asyncio.gather(first, second)
    assert told == [["a"], ["a", "b"]]
    await control.unload("a")
    assert [version.config.name for version in repository.ready()] == ["b"]
    assert await asyncio.to_thread(repository.close, HANGING_SECONDS)


async def test_a_load_whose_caller_leaves_is_told_all_the_same(tmp_path: Path) -> None:
    """A caller whose deadline passes leaves behind a model that is loaded, and a server that knows of it."""
    write_model(tmp_path / "net", Constant(1))
    load, told = GatedLoading(), asyncio.Event()

    async def loaded() -> None:
        told.set()

    repository = ModelRepository(tmp_path, load)
    control = ModelControl(repository, loaded)
    caller = asyncio.create_task(control.load("net", None))
    await load.reached.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not told.is_set()
    load.gate.set()
    await asyncio.wait_for(told.wait(), HANGING_SECONDS)
    assert [version.config.name for version in repository.ready()] == ["net"]
    assert await asyncio.to_thread(repository.close, HANGING_SECONDS)


async def test_a_load_whose_caller_leaves_before_it_begins_is_dropped(tmp_path: Path) -> None:
    """Callers that give up and ask again leave no queue of loads behind."""
    for name in "ab":
        write_model(tmp_path / name, Constant(1))
    load = GatedLoading()

    async def changed() -> None:
        pass

    repository = ModelRepository(tmp_path, load)
    control = ModelControl(repository, changed)
    first = asyncio.create_task(control.load("a", None))
    await load.reached.wait()
    waiting = [asyncio.create_task(control.load("b", None)) for _ in range(3)]
    await settle()
    for caller in waiting:
        caller.cancel()
    await asyncio.wait(waiting)
    load.gate.set()
    await first
    await control.unload("a")
    assert load.loading == ["a"]
    assert await asyncio.to_thread(repository.close, HANGING_SECONDS)


async def test_a_load_that_fails_is_told_to_its_caller_alone(tmp_path: Path) -> None:
    """Nothing became ready, so nobody else hears of it, and the next load works."""
    write_model(tmp_path / "good", Constant(1))
    write_model(tmp_path / "bad", b"no module")
    repository, told = ModelRepository(tmp_path, load_version), []

    async def loaded() -> None:
        told.append(len(repository.ready()))

    control = ModelControl(repository, loaded)
    for name in ("bad", "missing"):
        with pytest.raises(LoadError):
            await control.load(name, None)
    assert told == []
    await control.load("good", None)
    assert told == [1]
    assert await asyncio.to_thread(repository.close, HANGING_SECONDS)
