from __future__ import annotations

import errno
import logging
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from server.errors import ModelNotFound
from server.repository_poll import RepositoryPoll
from tests.server.models import ROW, open_repository, write_model
from tests.server.python_backend.steps import DOUBLE, DOUBLE_CONFIG, TWICE, write_ensemble, write_step
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant, save_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.repository import ModelRepository

PAYLOAD = (bytes(16),)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    """A repository with the model `net`, which is loaded, and which answers 1."""
    write_model(tmp_path / "net", Constant(1), ROW)
    repository = open_repository(tmp_path)
    repository.load("net")
    yield repository
    assert repository.close(HANGING_SECONDS)


@pytest.fixture
def poll(repository: ModelRepository, tmp_path: Path) -> RepositoryPoll:
    """The poll of that repository."""
    assert repository
    return RepositoryPoll(repository, tmp_path)


def _answer(repository: ModelRepository, name: str = "net") -> int:
    return int(repository.get(name).batcher.submit(PAYLOAD, 1).result(HANGING_SECONDS).result[0].item())


def _settle(poll: RepositoryPoll) -> None:
    poll.look()
    poll.look()


def test_what_does_not_change_is_left_alone(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> None:
    """The very same version goes on serving, also when hidden files and Python's caches come and go."""
    before = repository.get("net")
    for name in (".config.pbtxt.swp", "1/.model.pt.part", "1/__pycache__/model.pyc", "../other/.hidden"):
        path = tmp_path / "net" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        _settle(poll)
    assert repository.get("net") is before


@pytest.mark.parametrize("name", ["1/model.pt", "2/model.pt"])
def test_a_new_file_or_version_is_loaded(
    repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path, name: str
) -> None:
    """Once two looks have seen the same, and not before: it may still be being copied."""
    save_module(Constant(2), tmp_path / "net" / name)
    poll.look()
    assert _answer(repository) == 1
    poll.look()
    assert _answer(repository) == 2


def test_a_copy_that_goes_on_is_waited_for(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> None:
    """However long it takes, no half of a file is loaded."""
    save_module(Constant(2), tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    target = tmp_path / "net" / "2" / "model.pt"
    target.parent.mkdir()
    with target.open("wb", buffering=0) as copy:
        for start in range(0, len(whole), 1000):
            copy.write(whole[start : start + 1000])
            poll.look()
            assert repository.failed() == []
            assert _answer(repository) == 1
    poll.look()
    assert _answer(repository) == 2


def test_labels_and_configurations_count(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> None:
    """All that a model is made of is looked at."""
    config = tmp_path / "net" / "config.pbtxt"
    config.write_text(ROW.replace("dims: [ 1 ]", 'dims: [ 1 ] label_filename: "labels.txt"'))
    (tmp_path / "net" / "labels.txt").write_text("a\n")
    _settle(poll)
    assert repository.get("net").config.labels == {"OUTPUT__0": ("a",)}
    (tmp_path / "net" / "labels.txt").write_text("b\n")
    _settle(poll)
    assert repository.get("net").config.labels == {"OUTPUT__0": ("b",)}


def test_models_come_and_go(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> None:
    """A new directory is loaded, one that has gone is unloaded and not told of any more."""
    write_model(tmp_path / "new", Constant(7), ROW)
    _settle(poll)
    assert _answer(repository, "new") == 7
    shutil.rmtree(tmp_path / "new")
    _settle(poll)
    with pytest.raises(ModelNotFound, match="Request for unknown model: 'new' has no available versions"):
        repository.get("new")
    assert [entry.name for entry in repository.index()] == ["net"]
    write_model(tmp_path / "new", Constant(8), ROW)
    _settle(poll)
    assert _answer(repository, "new") == 8


def test_a_version_that_has_gone_gives_way_to_the_one_before(
    repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path
) -> None:
    """Taking the new version away is how one goes back."""
    save_module(Constant(2), tmp_path / "net" / "2" / "model.pt")
    _settle(poll)
    shutil.rmtree(tmp_path / "net" / "2")
    _settle(poll)
    assert _answer(repository) == 1


@pytest.mark.parametrize(("name", "content"), [("1/model.pt", b"no module"), ("config.pbtxt", b"max_batch_size: lots")])
def test_what_is_bad_is_reported_once_and_tried_again_when_it_changes(
    repository: ModelRepository,
    poll: RepositoryPoll,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: bytes,
) -> None:
    """What served before serves meanwhile."""
    path = tmp_path / "net" / name
    good = path.read_bytes()
    path.write_bytes(content)
    for _ in range(5):
        poll.look()
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1
    assert _answer(repository) == 1
    before = repository.get("net")
    path.write_bytes(good)
    _settle(poll)
    assert repository.get("net") is not before
    assert _answer(repository) == 1


@pytest.fixture
def pair(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> Path:
    """An ensemble that has settled before the files of one of its steps: the step's code, which is to be written."""
    assert repository
    write_step(tmp_path / "one")
    code = write_step(tmp_path / "two")
    code.write_text("half of it")
    write_ensemble(tmp_path / "twice")
    poll.look()
    code.write_text("another half")
    return code


def test_an_ensemble_waits_for_what_is_being_copied(
    repository: ModelRepository, poll: RepositoryPoll, pair: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No step is loaded by halves, and the ensemble comes when the step has, though its own files do not change."""
    poll.look()
    assert "ensemble 'twice' depends on 'two', which is still being copied" in caplog.text
    assert "SyntaxError" not in caplog.text
    pair.write_text(DOUBLE)
    _settle(poll)
    assert [version.config.name for version in repository.ready()] == ["net", "one", "twice", "two"]


def test_an_ensemble_comes_when_its_step_is_repaired(
    repository: ModelRepository, poll: RepositoryPoll, pair: Path
) -> None:
    """A step that did not load takes its ensemble along when it does; each model is loaded once."""
    _settle(poll)
    assert repository.failed() == ["twice", "two"]
    pair.write_text(DOUBLE)
    _settle(poll)
    assert repository.failed() == []
    loads = {state.name: state.loads for state in repository.readiness()}
    assert loads["one"] == {"ok": 1, "failed": 0}
    assert loads["two"]["ok"] == loads["twice"]["ok"] == 1


def test_an_ensemble_that_failed_at_the_start_comes_when_its_step_is_repaired(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """The poll has not seen it fail, and its own files do not change."""
    write_step(tmp_path / "one")
    code = write_step(tmp_path / "two", "half of it")
    write_ensemble(tmp_path / "twice")
    poll = RepositoryPoll(repository, tmp_path)
    repository.load_all(["one", "twice", "two"], lambda: False)
    assert repository.failed() == ["twice", "two"]
    assert {state.name: state.loads["failed"] for state in repository.readiness()}["two"] == 1
    code.write_text(DOUBLE)
    _settle(poll)
    assert repository.failed() == []


def test_an_ensemble_that_did_not_fit_for_a_moment_comes_with_its_steps(
    repository: ModelRepository, tmp_path: Path
) -> None:
    """Models of other tensors are copied one after the other, the ensemble of them first."""
    for name in ("one", "two"):
        write_step(tmp_path / name)
    write_ensemble(tmp_path / "twice")
    repository.load_all(["one", "twice", "two"], lambda: False)
    poll = RepositoryPoll(repository, tmp_path)
    wider = DOUBLE_CONFIG.replace("dims: [ 2 ]", "dims: [ 3 ]")
    write_ensemble(tmp_path / "twice", TWICE.replace("dims: [ 2 ]", "dims: [ 3 ]"))
    _settle(poll)
    assert repository.get("twice").config.inputs[0].dims == (2,)
    for name in ("one", "two"):
        write_step(tmp_path / name, config=wider)
        _settle(poll)
    assert repository.get("twice").config.inputs[0].dims == (3,)


def test_a_directory_that_cannot_be_read_changes_nothing(
    repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that is away for a moment takes no model out of service; the log says so once."""
    away = tmp_path.with_name("away")
    tmp_path.rename(away)
    for _ in range(3):
        poll.look()
    away.rename(tmp_path)
    assert [record.message for record in caplog.records] == [
        f"model repository {tmp_path} cannot be read: No such file or directory"
    ]
    _settle(poll)
    assert _answer(repository) == 1


def test_a_model_that_cannot_be_looked_into_goes_on_serving(
    repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is shut, or whose server is away, is not taken for one that is gone."""
    iterdir = type(tmp_path).iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path.name == "net":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return iterdir(path)

    (tmp_path / "net" / "config.pbtxt").rename(tmp_path / "config.pbtxt")
    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    for _ in range(3):
        poll.look()
    assert _answer(repository) == 1


def test_links_in_a_circle_end(repository: ModelRepository, poll: RepositoryPoll, tmp_path: Path) -> None:
    """Links are followed, as they are by Kubernetes' volumes, but not for ever."""
    (tmp_path / "net" / "again").symlink_to(tmp_path / "net")
    (tmp_path / "net" / "nowhere").symlink_to(tmp_path / "missing")
    _settle(poll)
    assert _answer(repository) == 1
