"""Loading and reloading: the new version takes the old one's place, or nothing changes."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from server.errors import ShuttingDown
from server.load_error import LoadError
from server.model import ModelVersion
from server.model_states import State
from server.repository import ModelRepository
from tests.server.models import ALL, ROW, load_version, write_model
from tests.server.repositories import ask, index, refusal
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig

_OVERRIDE = (
    '{"platform": "pytorch_libtorch", "max_batch_size": 2, "instance_group": [{"count": 1}],'
    ' "input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [2]}],'
    ' "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [1]}]}'
)


class Gate:
    """A loader that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.open = threading.Event()

    def load_version(self, config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        """Load, when the gate is open."""
        self.reached.release()
        assert self.open.wait(HANGING_SECONDS)
        return load_version(config, version, directory)


def test_a_reload_swaps(directory: Path, repository: ModelRepository) -> None:
    """After a load the new module answers; the old one ends once nobody holds it."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as old:
        write_model(directory / "net", Constant(2))
        repository.load("net")
        assert ask(repository.get("net")) == 2
        assert ask(old) == 1
        assert not old.wait_closed(0)
    assert old.wait_closed(HANGING_SECONDS)


def test_while_a_reload_runs_the_old_version_answers(directory: Path) -> None:
    """Warming the new version takes nobody's model away, and the index does not say otherwise."""
    gate = Gate()
    gate.open.set()
    repository = ModelRepository(directory, gate.load_version)
    write_model(directory / "net", Constant(1))
    repository.load("net")
    assert gate.reached.acquire(timeout=HANGING_SECONDS)
    write_model(directory / "net", Constant(2))
    gate.open.clear()
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(repository.load, "net")
        assert gate.reached.acquire(timeout=HANGING_SECONDS)
        assert ask(repository.get("net")) == 1
        assert index(repository) == [("net", 1, "READY", "")]
        gate.open.set()
        loading.result(HANGING_SECONDS)
    assert ask(repository.get("net")) == 2
    assert repository.close(HANGING_SECONDS)


def test_while_the_first_load_runs_the_model_is_not_ready(directory: Path) -> None:
    """A version that is loading is in the index, and asking for it is worth a retry."""
    gate = Gate()
    repository = ModelRepository(directory, gate.load_version)
    write_model(directory / "net", Constant(1))
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(repository.load, "net")
        assert gate.reached.acquire(timeout=HANGING_SECONDS)
        assert index(repository) == [("net", 1, "LOADING", "")]
        assert refusal(repository, "net", 1).startswith("ModelNotReady:")
        assert refusal(repository, "net") == (
            "ModelNotReady: Request for unknown model: 'net' has no available versions: it is being loaded"
        )
        gate.open.set()
        loading.result(HANGING_SECONDS)
    assert index(repository) == [("net", 1, "READY", "")]
    assert repository.close(HANGING_SECONDS)


def test_a_reload_that_fails_changes_nothing(directory: Path, repository: ModelRepository) -> None:
    """What served before goes on serving, under the same index, until a good reload."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    for content, config in (
        (b"no module", ROW),
        (Constant(2), "platform: 5"),
        (Constant(2), ROW.replace("[ 1 ]", "[ 2 ]")),
    ):
        write_model(directory / "net", content, config)
        with pytest.raises(LoadError):
            repository.load("net")
        assert ask(repository.get("net")) == 1
        assert index(repository) == [("net", 1, "READY", "")]
    write_model(directory / "net", Constant(3))
    repository.load("net")
    assert ask(repository.get("net")) == 3


def test_versions_come_all_or_none(directory: Path, repository: ModelRepository) -> None:
    """When one version of several is broken none is served, none is left loading, and no thread is left."""
    before = set(threading.enumerate())
    write_model(directory / "net", Constant(1), ALL, 1)
    write_model(directory / "net", b"no module", ALL, 2)
    write_model(directory / "net", Constant(3), ALL, 3)
    with pytest.raises(LoadError, match="no TorchScript module"):
        repository.load("net")
    states = {entry.version: entry.state for entry in repository.index()}
    assert states[1] == states[2] == State.UNAVAILABLE
    assert all(entry.reason for entry in repository.index())
    assert repository.close(HANGING_SECONDS)
    for thread in set(threading.enumerate()) - before:
        thread.join(HANGING_SECONDS)
        assert not thread.is_alive()


def test_a_reload_may_change_the_versions(directory: Path, repository: ModelRepository) -> None:
    """Versions that the policy does not pick any more are gone, also from the index."""
    write_model(directory / "net", Constant(1), ROW, 1)
    repository.load("net")
    write_model(directory / "net", Constant(2), ROW, 2)
    repository.load("net")
    assert index(repository) == [("net", 2, "READY", "")]
    assert refusal(repository, "net", 1).endswith("version 1 is not found")


def test_no_version_at_all_is_an_error(directory: Path, repository: ModelRepository) -> None:
    """A model without a version directory that the policy allows is told, and known by name."""
    (directory / "net").mkdir()
    (directory / "net" / "config.pbtxt").write_text(ROW)
    with pytest.raises(LoadError, match="no version directory that the version policy allows"):
        repository.load("net")
    reason = "no version directory that the version policy allows"
    assert index(repository) == [("net", 0, "UNAVAILABLE", reason)]
    assert refusal(repository, "net").endswith("'net' has no available versions")
    assert repository.failed() == ["net"]


def test_a_model_has_failed_until_a_load_succeeds(directory: Path, repository: ModelRepository) -> None:
    """Whatever a load fails for is told, until one succeeds; nothing has failed while an older one serves."""
    write_model(directory / "net", Constant(1), "platform: 5")
    with pytest.raises(LoadError):
        repository.load("net")
    [(_, version, state, reason)] = index(repository)
    assert (version, state) == (1, "UNAVAILABLE")
    assert reason.startswith("net/config.pbtxt:1:")
    assert repository.failed() == ["net"]
    write_model(directory / "net", Constant(1))
    repository.load("net")
    assert repository.failed() == []
    with pytest.raises(LoadError):
        repository.load("net", "{")
    assert repository.failed() == []
    assert index(repository) == [("net", 1, "READY", "")]


def test_a_name_that_is_no_model_is_forgotten(repository: ModelRepository) -> None:
    """Requests cannot fill the index with names of their own; a name that the operator gave is told."""
    with pytest.raises(LoadError):
        repository.load("nothing")
    assert index(repository) == []
    assert repository.failed() == []
    repository.load_all(["gone"], lambda: False)
    assert repository.failed() == ["gone"]
    assert "no directory" in index(repository)[0][3]


@pytest.mark.parametrize("file", [None, "platform: nonsense"], ids=["missing", "broken"])
def test_an_override_needs_no_file(directory: Path, repository: ModelRepository, file: str | None) -> None:
    """Whose own configuration is missing or broken can be loaded by one that takes its place."""
    write_model(directory / "net", Constant(1))
    (directory / "net" / "config.pbtxt").unlink()
    if file:
        (directory / "net" / "config.pbtxt").write_text(file)
    repository.load("net", _OVERRIDE)
    assert repository.get("net").config.max_rows == 2


def test_an_override_takes_the_files_place(directory: Path, repository: ModelRepository) -> None:
    """A configuration that comes with the load counts instead of the file's, for this load."""
    write_model(directory / "net", Constant(1))
    repository.load("net", _OVERRIDE)
    assert [spec.name for spec in repository.get("net").config.inputs] == ["x"]
    repository.load("net")
    assert [spec.name for spec in repository.get("net").config.inputs] == ["INPUT__0"]
    with pytest.raises(LoadError, match="config override"):
        repository.load("net", "{")


def test_ignored_fields_are_told(
    directory: Path, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """What config.pbtxt asks for and this server does not do stands in the log."""
    write_model(directory / "net", Constant(1), ROW + "response_cache { enable: true }")
    with caplog.at_level(logging.WARNING):
        repository.load("net")
    [record] = [record for record in caplog.records if "does not honour" in record.message]
    assert record.message.endswith("response_cache.enable")


def test_a_lease_never_meets_a_dead_version(directory: Path, repository: ModelRepository) -> None:
    """However reloads and requests race, every lease is one on a version that answers, the latest or its forerunner."""
    write_model(directory / "net", Constant(0))
    repository.load("net")
    done, answers = threading.Event(), []

    def keep_asking() -> None:
        while not done.is_set():
            with repository.lease("net") as version:
                answers.append(ask(version))

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(keep_asking) for _ in range(2)]
        for number in range(1, 6):
            write_model(directory / "net", Constant(number))
            repository.load("net")
        done.set()
        for future in asking:
            future.result(HANGING_SECONDS)
    assert set(answers) <= set(range(6))
    assert ask(repository.get("net")) == 5


def test_a_load_that_is_given_up_is_no_failure(directory: Path) -> None:
    """Warming up ends when the server is to stop, and the model is not to blame."""
    asked = []

    def is_given_up() -> bool:
        asked.append(True)
        return len(asked) > 2

    def load(config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        return ModelVersion(config, version, directory, 1, 1024, is_given_up)

    repository = ModelRepository(directory, load)
    write_model(directory / "net", Constant(1))
    with pytest.raises(ShuttingDown, match="the server is stopping"):
        repository.load("net")
    assert len(asked) == 3
    assert repository.failed() == repository.ready() == []
    assert repository.close(HANGING_SECONDS)
