from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.errors import ModelNotFound, ModelNotReady, StepsMismatch
from server.load_error import LoadError
from server.python_backend.request import TensorRequest
from tests.server.models import end_instance
from tests.server.python_backend.steps import DOUBLE, DOUBLE_CONFIG, TWICE, write_ensemble, write_step
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from server.repository import ModelRepository


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A repository with two steps and the ensemble of both."""
    for name in ("one", "two"):
        write_step(tmp_path / name)
    write_ensemble(tmp_path / "twice")
    return tmp_path


def test_an_ensemble_brings_its_steps(repository: ModelRepository) -> None:
    """Loading it loads the models of its steps, which stay when it goes."""
    repository.load("twice")
    assert [version.config.name for version in repository.ready()] == ["one", "twice", "two"]
    repository.unload("twice")
    assert [version.config.name for version in repository.ready()] == ["one", "two"]


def test_steps_are_ordered_by_what_they_need(repository: ModelRepository) -> None:
    """The file may tell the steps in any order."""
    repository.load("twice")
    assert [step.model for step in repository.get("twice").config.steps] == ["one", "two"]


def test_an_ensemble_is_there_while_its_steps_are(repository: ModelRepository) -> None:
    """Without the model of a step it answers nothing; with it, it does again."""
    repository.load("twice")
    repository.unload("two")
    with pytest.raises(ModelNotFound, match="'twice' has no available versions"):
        repository.get("twice")
    with pytest.raises(ModelNotReady, match="'twice' version 1 is not at ready state"):
        repository.get("twice", 1)
    states = {entry.name: (entry.state.value, entry.reason) for entry in repository.index()}
    assert states["twice"] == states["two"] == ("UNAVAILABLE", "unloaded")
    repository.load("two")
    assert repository.get("twice").version == 1


def test_a_step_is_not_loaded_twice_at_the_start(repository: ModelRepository) -> None:
    """A model that came with an ensemble is left as it is."""
    repository.load("twice")
    versions = repository.ready()
    repository.load_all(["one", "twice", "two"], lambda: False)
    assert repository.ready() == versions


def test_a_step_that_no_longer_fits_is_told_of(directory: Path, repository: ModelRepository) -> None:
    """A model that is loaded anew with other tensors makes its ensemble unavailable, until it fits again."""
    repository.load("twice")
    ensemble = repository.get("twice")
    write_step(directory / "two", DOUBLE, DOUBLE_CONFIG.replace("dims: [ 2 ]", "dims: [ 3 ]"))
    repository.load("two")
    models = [repository.get(step.model) for step in ensemble.config.steps]
    with pytest.raises(StepsMismatch, match="ensemble tensor B: inconsistent shape"):
        ensemble.check_steps(models)  # as a request does that found it a moment before
    with pytest.raises(ModelNotReady, match=r"'twice' has no available versions: .* tensor B: inconsistent shape"):
        repository.get("twice")
    with pytest.raises(ModelNotReady, match=r"'twice' version 1 is not at ready state: .* inconsistent shape"):
        repository.get("twice", 1)
    states = {entry.name: (entry.state.value, entry.reason) for entry in repository.index()}
    assert states["two"] == ("READY", "")
    assert states["twice"][0] == "UNAVAILABLE"
    assert "inconsistent shape" in states["twice"][1]
    write_step(directory / "two")
    repository.load("two")
    assert repository.get("twice") is ensemble


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_step_that_lost_an_instance_is_worth_coming_again(
    repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the request names a version, it is told that the step ended, and not that there is no model."""
    repository.load("twice")
    end_instance(repository.get("two"), TensorRequest((np.ones((1, 2), np.float32),)), monkeypatch)
    text = r"'twice' .*: 'two' version 1 is not ready: an instance of it has ended unexpectedly"
    for number in (None, 1):
        with pytest.raises(ModelNotReady, match=text):
            repository.get("twice", number)
    states = {entry.name: (entry.state.value, entry.reason) for entry in repository.index()}
    assert states["twice"][1] == "'two' version 1 is not ready: an instance of it has ended unexpectedly"
    repository.load("two")
    assert repository.get("twice").version == 1


@pytest.mark.parametrize("version", ["-1", "1"])
def test_a_step_that_is_being_loaded_is_worth_coming_again(
    directory: Path, repository: ModelRepository, version: str
) -> None:
    """The ensemble answers once it is there, so nobody is told that there is no such model."""
    write_ensemble(directory / "twice", TWICE.replace('"two" model_version: -1', f'"two" model_version: {version}'))
    repository.load("twice")
    repository.unload("two")
    repository.expect(["two"])
    with pytest.raises(
        ModelNotReady, match=r"'twice' has no available versions: 'two' .*(being loaded|not at ready state)$"
    ):
        repository.get("twice")


def test_labels_are_those_of_the_step_that_serves(directory: Path, repository: ModelRepository) -> None:
    """A step that is loaded again with other labels gives them to its ensemble, too."""
    labelled = DOUBLE_CONFIG.replace('name: "OUT"', 'label_filename: "labels.txt" name: "OUT"')
    write_step(directory / "two", config=labelled)
    (directory / "two" / "labels.txt").write_text("cat\ndog\n")
    repository.load("twice")
    assert repository.get("twice").config.labels["C"] == ("cat", "dog")
    (directory / "two" / "labels.txt").write_text("dog\ncat\n")
    repository.load("two")
    assert repository.get("twice").config.labels["C"] == ("dog", "cat")


def test_an_ensemble_of_an_ensemble_whose_steps_fit_no_more(directory: Path, repository: ModelRepository) -> None:
    """It says what its step says; of one that is not there it says no more than that."""
    step = 'model_name: "twice" model_version: -1'
    maps = 'input_map { key: "A" value: "A" } output_map { key: "C" value: "C" }'
    outer = TWICE.partition("ensemble_scheduling")[0] + f"ensemble_scheduling {{ step [ {{ {step} {maps} }} ] }}"
    write_ensemble(directory / "outer", outer)
    repository.load("outer")
    write_step(directory / "two", DOUBLE, DOUBLE_CONFIG.replace("dims: [ 2 ]", "dims: [ 3 ]"))
    repository.load("two")
    with pytest.raises(ModelNotReady, match=r"'outer' has no available versions: .*'twice' has .* inconsistent shape"):
        repository.get("outer")
    repository.unload("two")
    with pytest.raises(ModelNotFound, match=r"'outer' has no available versions$"):
        repository.get("outer")


def test_no_reload_closes_a_circle(directory: Path, repository: ModelRepository) -> None:
    """A model that becomes an ensemble of one that needs it is refused, and both go on as they were."""
    repository.load("twice")
    write_ensemble(directory / "one", TWICE.replace('"one"', '"twice"'))
    with pytest.raises(LoadError, match="circular dependency between ensembles: one -> twice -> one"):
        repository.load("one")
    assert repository.ended() == []
    assert [version.config.name for version in repository.ready()] == ["one", "twice", "two"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"two"', '"none"', "contains models that are not available or ambiguous: none"),
        ('"two"', '"twice"', "circular dependency between ensembles: twice -> twice"),
        (
            '"two" model_version: -1',
            '"two" model_version: 3',
            "depends on 'two' whose required version 3 is not loaded.",
        ),
        ("max_batch_size: 4", "max_batch_size: 5", "allows maximum batch size 5, but it contains model one which"),
        ('key: "IN" value: "B"', 'key: "X" value: "B"', "tensor B is mapping to non-existing input X in model two"),
        ('key: "OUT" value: "C"', 'key: "X" value: "C"', "tensor C is mapped from non-existing output X in model two"),
        ("TYPE_FP32", "TYPE_FP64", "tensor A: inconsistent data type: TYPE_FP64 is inferred from model twice while"),
        ("dims: [ 2 ]", "dims: [ 3 ]", r"tensor A: inconsistent shape: \[-1,3\] is inferred from model twice while"),
        ('value: "A"', 'value: "D"', "ensemble input 'A' for ensemble twice' is not used"),
        (
            "ensemble_scheduling",
            'backend: "python" ensemble_scheduling',
            "must have platform type 'ensemble' and empty",
        ),
        ("ensemble_scheduling", "instance_group [ { count: 1 } ] ensemble_scheduling", "instance group should not be"),
        ('model_name: "two"', "", "must specify 'model_name' in step 0 of ensemble 'twice'"),
        ('value: "B" }', 'value: "C" }', "can appear in an output map only once"),
    ],
)
def test_what_does_not_fit_is_told_as_triton_tells_it(
    directory: Path, repository: ModelRepository, old: str, new: str, text: str
) -> None:
    """Each mistake has the text that a real Triton was seen to give."""
    write_ensemble(directory / "twice", TWICE.replace(old, new))
    with pytest.raises(LoadError, match=text):
        repository.load("twice")


def test_a_step_that_does_not_load_is_told_of(directory: Path, repository: ModelRepository) -> None:
    """The ensemble's error has the file and line of its step's."""
    write_step(directory / "two", "import nonsense\n")
    with pytest.raises(LoadError, match=r"'two' which has no loaded version.*model\.py:1: ModuleNotFoundError"):
        repository.load("twice")


def test_steps_answer_as_models_of_their_own(repository: ModelRepository) -> None:
    """What an ensemble brings can be asked directly."""
    repository.load("twice")
    request = TensorRequest((np.ones((1, 2), np.float32),))
    assert repository.get("one").batcher.submit(request, 1).result(HANGING_SECONDS).result[0].tolist() == [[2, 2]]
