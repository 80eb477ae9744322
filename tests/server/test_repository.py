from __future__ import annotations

import errno
import gc
import json
import logging
import os
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from torch import nn

from server.errors import ModelNotFound, ModelNotReady, ShuttingDown, StartError
from server.load_error import LoadError
from server.model import ModelVersion
from server.model_states import State
from server.repository import ModelRepository
from tests.server.models import ROW, end_instance, load_version, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.model_config import ModelConfig

_ALL = ROW + "version_policy { all { } }"
_OVERRIDE = (
    '{"platform": "pytorch_libtorch", "max_batch_size": 2, "instance_group": [{"count": 1}],'
    ' "input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [2]}],'
    ' "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [1]}]}'
)
_PAYLOAD = (np.zeros((1, 2), np.int64).tobytes(),)


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


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty model repository."""
    path = tmp_path / "repository"
    path.mkdir()
    return path


@pytest.fixture
def repository(directory: Path) -> Iterator[ModelRepository]:
    """The repository, which must end in time."""
    repository = open_repository(directory)
    yield repository
    assert repository.close(HANGING_SECONDS)


def _ask(version: ModelVersion) -> int:
    return int(version.batcher.submit(_PAYLOAD, 1).result(HANGING_SECONDS).result[0].item())


def _index(repository: ModelRepository) -> list[tuple[str, int, str, str]]:
    return [(entry.name, entry.version, entry.state.value, entry.reason) for entry in repository.index()]


def _text(repository: ModelRepository, name: str, version: int | None = None) -> str:
    with pytest.raises((ModelNotFound, ModelNotReady)) as raised:
        repository.get(name, version)
    return f"{type(raised.value).__name__}: {raised.value}"


def test_a_missing_directory_stops_the_start(tmp_path: Path) -> None:
    """The repository must be a directory."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(StartError, match="is not a directory"):
            open_repository(path)


def test_names_are_the_directories(directory: Path, repository: ModelRepository) -> None:
    """What has a configuration or a version is a model, but for hidden directories; links to directories count."""
    for name in ("b/1", "a/1", ".git/1", "lost+found", "notes/old"):
        (directory / name).mkdir(parents=True)
    (directory / "d").mkdir()
    (directory / "d" / "config.pbtxt").write_text(ROW)
    (directory / "README.md").write_text("")
    (directory / "c").symlink_to(directory / "a")
    assert repository.names() == ["a", "b", "c", "d"]


def test_a_wrong_configuration_stops_the_start(directory: Path, repository: ModelRepository) -> None:
    """Configurations are read before anything is served, and loading one of a model that is not there is a mistake."""
    write_model(directory / "good", Constant(1))
    write_model(directory / "bad", Constant(1), "max_batch_size: many")
    repository.check_configs(["good"])
    with pytest.raises(StartError, match=r"bad/config\.pbtxt:1:17"):
        repository.check_configs(["good", "bad"])
    with pytest.raises(StartError, match="no directory missing in the model repository"):
        repository.check_configs(["missing"])
    assert repository.ready() == []


@pytest.mark.parametrize(
    ("content", "config", "reason"),
    [
        (b"no module", ROW, "model.pt is no TorchScript module that can be loaded"),
        (
            Constant(1),
            ROW.replace("[ 2 ] } ]", '[ 2 ] }, { name: "b" data_type: TYPE_FP32 dims: 1 } ]'),
            "takes 1 inputs",
        ),
        (Constant(1), ROW.replace("[ 1 ]", "[ 3 ]"), "output OUTPUT__0 of the model has shape"),
        (Constant(1), ROW.replace("INT64 dims: [ 1 ]", "FP32 dims: [ 1 ]"), "has type torch.int64"),
        (nn.Identity(), ROW + 'default_model_filename: "other.pt"', "other.pt is missing"),
    ],
)
def test_a_broken_model_does_not_stop_the_others(
    directory: Path, repository: ModelRepository, content: nn.Module | bytes, config: str, reason: str
) -> None:
    """What does not load is told in the index with its reason, and the models before and behind it answer."""
    write_model(directory / "a", Constant(1))
    write_model(directory / "broken", content, config)
    write_model(directory / "z", Constant(2))
    repository.load_all(repository.names(), lambda: False)
    assert [(version.config.name, _ask(version)) for version in repository.ready()] == [("a", 1), ("z", 2)]
    broken = [entry for entry in repository.index() if entry.name == "broken"]
    assert [(entry.version, entry.state) for entry in broken] == [(1, State.UNAVAILABLE)]
    assert reason in broken[0].reason
    assert _text(repository, "broken") == "ModelNotFound: Request for unknown model: 'broken' has no available versions"
    assert _text(repository, "broken", 1) == (
        "ModelNotReady: Request for unknown model: 'broken' version 1 is not at ready state"
    )
    assert _text(repository, "broken", 5) == (
        "ModelNotFound: Request for unknown model: 'broken' version 5 is not found"
    )


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), RuntimeError("a\nb")])
def test_whatever_happens_to_one_model_leaves_the_others_alone(
    directory: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Also what nobody thought of is told in the log, and ends neither the other loads nor the server."""

    def load(config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        if config.name == "bad":
            raise error
        return load_version(config, version, directory)

    repository = ModelRepository(directory, load)
    write_model(directory / "bad", Constant(1))
    write_model(directory / "good", Constant(2))
    repository.load_all(["bad", "good"], lambda: False)
    assert [version.config.name for version in repository.ready()] == ["good"]
    assert repository.failed() == ["bad"]
    reason = "No space left on device" if isinstance(error, OSError) else type(error).__name__
    with pytest.raises(LoadError, match=f"^loading it failed: {reason}$"):
        repository.load("bad")
    assert any(record.exc_info for record in caplog.records)
    assert repository.close(HANGING_SECONDS)


@pytest.mark.parametrize(
    "line",
    [
        'backend: "dali"',
        'platform: "onnxruntime_onnx"',
        'backend: "python"',
        ROW + "instance_group [ { kind: KIND_GPU } ]",
        ROW + 'input [ { name: "any" data_type: TYPE_FP32 dims: [ -1 ] } ]',
    ],
)
def test_models_of_other_servers_do_not_end_the_start(directory: Path, repository: ModelRepository, line: str) -> None:
    """Triton may serve them from the same repository; here they are unavailable, and the index says why."""
    write_model(directory / "other", b"whatever", line)
    write_model(directory / "net", Constant(1))
    repository.check_configs(repository.names())
    repository.load_all(repository.names(), lambda: False)
    [net, (name, version, state, reason)] = _index(repository)
    assert net == ("net", 1, "READY", "")
    assert (name, version, state) == ("other", 1, "UNAVAILABLE")
    assert re.search("not served here, only|only KIND_CPU|must all be given", reason)


def test_a_repository_that_cannot_be_read_is_one_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start it is a mistake; later on, the index tells what is known."""
    write_model(directory / "net", Constant(1))
    repository = open_repository(directory)
    repository.load("net")

    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(type(directory), "iterdir", refuse)
    for _ in range(3):
        assert _index(repository) == [("net", 1, "READY", "")]
    assert caplog.messages == [f"model repository {directory}: Permission denied"]
    with pytest.raises(LoadError, match=r"^loading it failed: Permission denied$"):
        repository.load("net")
    with pytest.raises(StartError, match=f"^model repository {directory} cannot be read: Permission denied$"):
        open_repository(directory)
    assert repository.close(HANGING_SECONDS)


def test_a_directory_that_cannot_be_read_is_passed_over(
    directory: Path, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A lost+found of somebody else ends no start, and is told of once, however often somebody looks."""
    caplog.set_level(logging.INFO)
    (directory / "lost+found").mkdir()
    write_model(directory / "net", Constant(1))
    iterdir = type(directory).iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "lost+found":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return iterdir(path)

    monkeypatch.setattr(type(directory), "iterdir", refuse)
    for _ in range(3):
        assert repository.names() == ["net"]
    assert caplog.messages == [f"{directory}/lost+found: passed over: Permission denied"]


def test_a_request_cannot_write_lines_into_the_log(
    directory: Path, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """Names and configurations from requests stand in the log on one line, and not at any length."""
    write_model(directory / "net", Constant(1))
    forged = "x\n2026-01-01 INFO all is well\x1b[2J" + "y" * 10_000
    with pytest.raises(LoadError):
        repository.load(forged)
    with pytest.raises(LoadError):
        repository.load("net", json.dumps({forged: 1}))
    override = {"platform": "pytorch_libtorch", "parameters": {forged: {"string_value": "1"}}}
    tensor = {"data_type": "TYPE_INT64", "dims": [2]}
    override |= {"input": [{"name": "x", **tensor}], "output": [{"name": "y", **tensor}]}
    with pytest.raises(LoadError):
        repository.load("net", json.dumps(override))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4
    assert all(message.isprintable() and len(message) < 5_000 for message in messages)


def test_loading_ends_when_the_server_is_to_stop(directory: Path, repository: ModelRepository) -> None:
    """No further model is loaded once a stop was asked for."""
    for name in "abc":
        write_model(directory / name, Constant(1))
    repository.load_all(["a", "b", "c"], lambda: bool(repository.ready()))
    assert [version.config.name for version in repository.ready()] == ["a"]


def test_only_numbers_are_versions(directory: Path, repository: ModelRepository) -> None:
    """Directories whose names are no whole numbers without leading zeros are passed over, as are files."""
    for version in (2, 10):
        write_model(directory / "net", Constant(version), _ALL, version)
    for name in ("0", "03", "-4", "x", "1.5", "latest", "²"):
        (directory / "net" / name).mkdir()
    (directory / "net" / "5").write_text("")
    repository.load("net")
    assert [version.version for version in repository.ready()] == [2, 10]


def test_the_latest_version_answers_unless_another_is_asked_for(directory: Path, repository: ModelRepository) -> None:
    """Versions are compared as numbers."""
    for version in (2, 10):
        write_model(directory / "net", Constant(version), _ALL, version)
    repository.load("net")
    assert _ask(repository.get("net")) == 10
    assert _ask(repository.get("net", 2)) == 2
    assert _text(repository, "net", 3) == "ModelNotFound: Request for unknown model: 'net' version 3 is not found"
    assert _text(repository, "other") == "ModelNotFound: Request for unknown model: 'other' is not found"
    assert _index(repository) == [("net", 2, "READY", ""), ("net", 10, "READY", "")]


@pytest.mark.parametrize("name", ["../outside", "..", ".", "", "/", "a/../../outside", ".hidden", "a\0b", "missing"])
def test_no_name_leads_out_of_the_directory(directory: Path, repository: ModelRepository, name: str) -> None:
    """A name from a request is one of a model in the repository, or no model."""
    write_model(directory.parent / "outside", Constant(1))
    write_model(directory / ".hidden", Constant(1))
    write_model(directory / "a", Constant(1))
    with pytest.raises(LoadError, match="no directory"):
        repository.load(name)
    assert repository.ready() == []


def test_a_reload_swaps(directory: Path, repository: ModelRepository) -> None:
    """After a load the new module answers; the old one ends once nobody holds it."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as old:
        write_model(directory / "net", Constant(2))
        repository.load("net")
        assert _ask(repository.get("net")) == 2
        assert _ask(old) == 1
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
        assert _ask(repository.get("net")) == 1
        assert _index(repository) == [("net", 1, "READY", "")]
        gate.open.set()
        loading.result(HANGING_SECONDS)
    assert _ask(repository.get("net")) == 2
    assert repository.close(HANGING_SECONDS)


def test_while_the_first_load_runs_the_model_is_not_ready(directory: Path) -> None:
    """A version that is loading is in the index, and asking for it is worth a retry."""
    gate = Gate()
    repository = ModelRepository(directory, gate.load_version)
    write_model(directory / "net", Constant(1))
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(repository.load, "net")
        assert gate.reached.acquire(timeout=HANGING_SECONDS)
        assert _index(repository) == [("net", 1, "LOADING", "")]
        assert _text(repository, "net", 1).startswith("ModelNotReady:")
        assert _text(repository, "net") == (
            "ModelNotReady: Request for unknown model: 'net' has no available versions: it is being loaded"
        )
        gate.open.set()
        loading.result(HANGING_SECONDS)
    assert _index(repository) == [("net", 1, "READY", "")]
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
        assert _ask(repository.get("net")) == 1
        assert _index(repository) == [("net", 1, "READY", "")]
    write_model(directory / "net", Constant(3))
    repository.load("net")
    assert _ask(repository.get("net")) == 3


def test_versions_come_all_or_none(directory: Path, repository: ModelRepository) -> None:
    """When one version of several is broken none is served, none is left loading, and no thread is left."""
    before = set(threading.enumerate())
    write_model(directory / "net", Constant(1), _ALL, 1)
    write_model(directory / "net", b"no module", _ALL, 2)
    write_model(directory / "net", Constant(3), _ALL, 3)
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
    assert _index(repository) == [("net", 2, "READY", "")]
    assert _text(repository, "net", 1).endswith("version 1 is not found")


def test_no_version_at_all_is_an_error(directory: Path, repository: ModelRepository) -> None:
    """A model without a version directory that the policy allows is told, and known by name."""
    (directory / "net").mkdir()
    (directory / "net" / "config.pbtxt").write_text(ROW)
    with pytest.raises(LoadError, match="no version directory that the version policy allows"):
        repository.load("net")
    reason = "no version directory that the version policy allows"
    assert _index(repository) == [("net", 0, "UNAVAILABLE", reason)]
    assert _text(repository, "net").endswith("'net' has no available versions")
    assert repository.failed() == ["net"]


def test_a_model_has_failed_until_a_load_succeeds(directory: Path, repository: ModelRepository) -> None:
    """Whatever a load fails for is told, until one succeeds; nothing has failed while an older one serves."""
    write_model(directory / "net", Constant(1), "platform: 5")
    with pytest.raises(LoadError):
        repository.load("net")
    [(_, version, state, reason)] = _index(repository)
    assert (version, state) == (1, "UNAVAILABLE")
    assert reason.startswith("net/config.pbtxt:1:")
    assert repository.failed() == ["net"]
    write_model(directory / "net", Constant(1))
    repository.load("net")
    assert repository.failed() == []
    with pytest.raises(LoadError):
        repository.load("net", "{")
    assert repository.failed() == []
    assert _index(repository) == [("net", 1, "READY", "")]


def test_an_unloaded_model_has_not_failed(directory: Path, repository: ModelRepository) -> None:
    """Who takes a model away knows why; a load that fails afterwards is told in the place of that."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    repository.unload("net")
    assert repository.failed() == []
    with pytest.raises(LoadError):
        repository.load("net", "{")
    assert repository.failed() == ["net"]
    [(_, version, state, reason)] = _index(repository)
    assert (version, state) == (1, "UNAVAILABLE")
    assert reason.startswith("config override: ")


def test_a_name_that_is_no_model_is_forgotten(repository: ModelRepository) -> None:
    """Requests cannot fill the index with names of their own; a name that the operator gave is told."""
    with pytest.raises(LoadError):
        repository.load("nothing")
    assert _index(repository) == []
    assert repository.failed() == []
    repository.load_all(["gone"], lambda: False)
    assert repository.failed() == ["gone"]
    assert "no directory" in _index(repository)[0][3]


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


def test_unloading_takes_a_model_out_of_service(directory: Path, repository: ModelRepository) -> None:
    """An unloaded model is known but does not answer; what holds a lease is answered; it can be loaded again."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as version:
        repository.unload("net")
        assert _index(repository) == [("net", 1, "UNAVAILABLE", "unloaded")]
        assert _text(repository, "net").endswith("'net' has no available versions")
        assert _text(repository, "net", 1).endswith("version 1 is not at ready state")
        assert _ask(version) == 1
    assert version.wait_closed(HANGING_SECONDS)
    repository.unload("net")
    repository.unload("unknown")
    repository.load("net")
    assert _index(repository) == [("net", 1, "READY", "")]


def test_what_was_never_loaded_is_in_the_index(directory: Path, repository: ModelRepository) -> None:
    """Models are told in the order of their names, loaded or not."""
    for name in "cab":
        write_model(directory / name, Constant(1))
    repository.load("b")
    assert _index(repository) == [("a", 0, "UNAVAILABLE", ""), ("b", 1, "READY", ""), ("c", 0, "UNAVAILABLE", "")]


def test_closing_ends_everything(directory: Path, repository: ModelRepository) -> None:
    """A closed repository serves nothing, waits for those who hold a lease, and loads nothing more."""
    write_model(directory / "net", Constant(1))
    repository.load("net")
    with repository.lease("net") as version:
        assert not repository.close(0.0)  # somebody still holds a lease
        assert repository.ready() == []
        assert _ask(version) == 1
    assert repository.close(HANGING_SECONDS)
    assert not version.batcher.alive
    with pytest.raises(ShuttingDown, match="the server is stopping"):
        repository.load("net")


def test_a_lease_never_meets_a_dead_version(directory: Path, repository: ModelRepository) -> None:
    """However reloads and requests race, every lease is one on a version that answers, the latest or its forerunner."""
    write_model(directory / "net", Constant(0))
    repository.load("net")
    done, answers = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            with repository.lease("net") as version:
                answers.append(_ask(version))

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        for number in range(1, 6):
            write_model(directory / "net", Constant(number))
            repository.load("net")
        done.set()
        for future in asking:
            future.result(HANGING_SECONDS)
    assert set(answers) <= set(range(6))
    assert _ask(repository.get("net")) == 5


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
    end_instance(version, _PAYLOAD, monkeypatch)
    assert repository.ended() == ["net"]
    assert [version.config.name for version in repository.ready()] == ["other"]
    assert _index(repository)[0] == ("net", 1, "UNAVAILABLE", "an instance of it has ended unexpectedly")
    for number in (None, 1):
        assert _text(repository, "net", number) == (
            "ModelNotReady: Request for unknown model: 'net' version 1 is not ready:"
            " an instance of it has ended unexpectedly"
        )
    repository.load("net")
    assert repository.ended() == []
    assert _ask(repository.get("net")) == 1
