"""Taking models out of service: who holds one is answered, and then it is gone."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from server.errors import ShuttingDown
from server.load_error import LoadError
from tests.server.models import end_instance, write_model
from tests.server.repositories import PAYLOAD, ask, index, refusal
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from pathlib import Path

    from server.repository import ModelRepository


def test_unloading_takes_a_model_out_of_service(directory: Path, repository: ModelRepository) -> None:
    """An unloaded model is known but does not answer; what holds a lease is answered; it can be loaded again."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as version:
        repository.unload("net")
        assert index(repository) == [("net", 1, "UNAVAILABLE", "unloaded")]
        assert refusal(repository, "net").endswith("'net' has no available versions")
        assert refusal(repository, "net", 1).endswith("version 1 is not at ready state")
        assert ask(version) == 1
    assert version.wait_closed(HANGING_SECONDS)
    repository.unload("net")
    repository.unload("unknown")
    repository.load("net")
    assert index(repository) == [("net", 1, "READY", "")]


def test_an_unloaded_model_has_not_failed(directory: Path, repository: ModelRepository) -> None:
    """Who takes a model away knows why; a load that fails afterwards is told in the place of that."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    repository.unload("net")
    assert repository.failed() == []
    with pytest.raises(LoadError):
        repository.load("net", "{")
    assert repository.failed() == ["net"]
    [(_, version, state, reason)] = index(repository)
    assert (version, state) == (1, "UNAVAILABLE")
    assert reason.startswith("config override: ")


def test_a_model_that_did_not_load_can_be_taken_back(directory: Path, repository: ModelRepository) -> None:
    """Nothing and nobody misses it any more."""
    write_model(directory / "net", b"no module")
    with pytest.raises(LoadError):
        repository.load("net")
    assert [state.name for state in repository.readiness()] == ["net"]
    repository.unload("net")
    assert repository.readiness() == []
    assert repository.failed() == []


def test_closing_ends_everything(directory: Path, repository: ModelRepository) -> None:
    """A closed repository serves nothing, waits for those who hold a lease, and loads nothing more."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as version:
        assert not repository.close(0.0)  # somebody still holds a lease
        assert repository.ready() == []
        assert ask(version) == 1
    assert repository.close(HANGING_SECONDS)
    assert not version.batcher.alive
    with pytest.raises(ShuttingDown, match="the server is stopping"):
        repository.load("net")


def test_what_is_unloaded_is_freed(directory: Path, repository: ModelRepository) -> None:
    """Memory comes back when the last thread of an unloaded model has ended, without the garbage collector."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    freed = [threading.Event(), threading.Event()]
    version = repository.get("net")
    for part, event in zip((version, version.batcher._instances[0]), freed, strict=True):
        weakref.finalize(part, event.set)
    del version, part
    gc.disable()
    try:
        repository.unload("net")
        assert all(event.wait(HANGING_SECONDS) for event in freed)
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_model_that_lost_an_instance_is_not_ready(
    directory: Path, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is told, and the others go on; loading the model again repairs it."""
    write_model(directory / "net", Constant(1))
    write_model(directory / "other", Constant(2))
    repository.load_all(["net", "other"], lambda: False)
    assert repository.ended() == []
    version = repository.get("net")
    end_instance(version, PAYLOAD, monkeypatch)
    assert repository.ended() == ["net"]
    assert [version.config.name for version in repository.ready()] == ["other"]
    assert index(repository)[0] == ("net", 1, "UNAVAILABLE", "an instance of it has ended unexpectedly")
    for number in (None, 1):
        assert refusal(repository, "net", number) == (
            "ModelNotReady: Request for unknown model: 'net' version 1 is not ready:"
            " an instance of it has ended unexpectedly"
        )
    repository.load("net")
    assert repository.ended() == []
    assert ask(repository.get("net")) == 1
