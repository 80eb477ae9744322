"""A model repository: what is in it, what of it can be served, and how that is told."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
from typing import TYPE_CHECKING

import pytest
from torch import nn

from server.errors import StartError
from server.load_error import LoadError
from server.model_states import State
from server.repository import ModelRepository
from tests.server.models import ALL, ROW, load_version, open_repository, write_model
from tests.server.repositories import ask, index, refusal
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.model import ModelVersion
    from server.model_config import ModelConfig


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
    directory: Path,
    repository: ModelRepository,
    caplog: pytest.LogCaptureFixture,
    content: nn.Module | bytes,
    config: str,
    reason: str,
) -> None:
    """What does not load is told in the index with its reason, and the models before and behind it answer."""
    write_model(directory / "a", Constant(1))
    write_model(directory / "broken", content, config)
    write_model(directory / "z", Constant(2))
    repository.load_all(repository.names(), lambda: False)
    assert [(version.config.name, ask(version)) for version in repository.ready()] == [("a", 1), ("z", 2)]
    if content == b"no module":
        assert "not loaded: model.pt is no TorchScript module that can be loaded (" in caplog.text  # and torch's words
    broken = [entry for entry in repository.index() if entry.name == "broken"]
    assert [(entry.version, entry.state) for entry in broken] == [(1, State.UNAVAILABLE)]
    assert reason in broken[0].reason
    assert (
        refusal(repository, "broken") == "ModelNotFound: Request for unknown model: 'broken' has no available versions"
    )
    assert refusal(repository, "broken", 1) == (
        "ModelUnloaded: Request for unknown model: 'broken' version 1 is not at ready state"
    )
    assert refusal(repository, "broken", 5) == (
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
    [net, (name, version, state, reason)] = index(repository)
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
        assert index(repository) == [("net", 1, "READY", "")]
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


def test_a_name_that_is_no_text_is_passed_over(
    directory: Path, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody could ask for it, and neither the index nor a metric could tell of it."""
    caplog.set_level(logging.INFO)
    (directory / os.fsdecode(b"mod\xe8le") / "1").mkdir(parents=True)
    write_model(directory / "net", Constant(1))
    assert repository.names() == ["net"]
    assert caplog.messages[0].endswith("passed over: its name is not UTF-8")


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
        write_model(directory / "net", Constant(version), ALL, version)
    for name in ("0", "03", "-4", "x", "1.5", "latest", "²"):
        (directory / "net" / name).mkdir()
    (directory / "net" / "5").write_text("")
    repository.load("net")
    assert [version.version for version in repository.ready()] == [2, 10]


def test_the_latest_version_answers_unless_another_is_asked_for(directory: Path, repository: ModelRepository) -> None:
    """Versions are compared as numbers."""
    for version in (2, 10):
        write_model(directory / "net", Constant(version), ALL, version)
    repository.load("net")
    assert ask(repository.get("net")) == 10
    assert ask(repository.get("net", 2)) == 2
    assert refusal(repository, "net", 3) == "ModelNotFound: Request for unknown model: 'net' version 3 is not found"
    assert refusal(repository, "other") == "ModelNotFound: Request for unknown model: 'other' is not found"
    assert index(repository) == [("net", 2, "READY", ""), ("net", 10, "READY", "")]


@pytest.mark.parametrize("name", ["../outside", "..", ".", "", "/", "a/../../outside", ".hidden", "a\0b", "missing"])
def test_no_name_leads_out_of_the_directory(directory: Path, repository: ModelRepository, name: str) -> None:
    """A name from a request is one of a model in the repository, or no model."""
    write_model(directory.parent / "outside", Constant(1))
    write_model(directory / ".hidden", Constant(1))
    write_model(directory / "a", Constant(1))
    with pytest.raises(LoadError, match="no directory"):
        repository.load(name)
    assert repository.ready() == []


def test_what_was_never_loaded_is_in_the_index(directory: Path, repository: ModelRepository) -> None:
    """Models are told in the order of their names, loaded or not."""
    for name in "cab":
        write_model(directory / name, Constant(1))
    repository.load("b")
    assert index(repository) == [("a", 0, "UNAVAILABLE", ""), ("b", 1, "READY", ""), ("c", 0, "UNAVAILABLE", "")]
