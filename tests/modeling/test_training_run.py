"""A run is interrupted, goes on and ends in its folder, whatever happens to it meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tqdm import tqdm

from modeling.checkpoint import load_checkpoint
from modeling.command import INTERRUPTED
from modeling.run_file import save_run
from modeling.train import main
from modeling.training import Trainer
from tests.modeling.commands import options

if TYPE_CHECKING:
    from pathlib import Path


def stop(_: Trainer) -> float:
    """Be killed in the first step."""
    raise KeyboardInterrupt


def test_interrupted_command(coloured_folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the command after the current step, with a run to go on with and the exit code that shells expect."""
    command = [sys.executable, "-u", "-m", "modeling.train", *options(coloured_folder, tmp_path, "--epochs", "400")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=one_thread
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/400: ")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()

    assert process.returncode == INTERRUPTED
    assert "--resume goes on from there" in error
    step = torch.load(tmp_path / "run.pth", weights_only=True)["trainer"]["step"]
    assert 4 <= step < 1600


def test_resumed_command(coloured_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that a signal stops in the middle of an epoch and that is resumed writes the same weights and curve.

    Where the curve so far is not there, as of a run that is older than curves, what follows still has its heading.
    """
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    few = ["--epochs", "3"]
    assert main(options(coloured_folder, whole, *few)) == 0

    train_step = Trainer.train_step

    def interrupted_step(trainer: Trainer) -> float:
        if trainer.step == 5:
            signal.raise_signal(signal.SIGINT)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted_step)
    assert main(options(coloured_folder, cut, *few)) == INTERRUPTED
    monkeypatch.undo()
    (cut / "curve.csv").unlink()
    assert main(options(coloured_folder, cut, *few, "--resume")) == 0

    heading, _, *rest = (whole / "curve.csv").read_text().splitlines()
    assert (cut / "curve.csv").read_text().splitlines() == [heading, *rest]
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("dies_measured", "trained_again"), [(False, 4), (True, 0)])
def test_killed_command(
    coloured_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_measured: bool,  # noqa: FBT001 - a parameter of the test
    trained_again: int,
) -> None:
    """A command that dies before it saves an epoch's training, or its measurement, does only that again."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    few = ["--epochs", "2"]
    assert main(options(coloured_folder, whole, *few)) == 0

    def dying_save(path: Path, trainer: Trainer, settings: dict[str, Any], *, measured: bool) -> None:
        if trainer.step == trainer.steps and measured is dies_measured:
            raise KeyboardInterrupt
        save_run(path, trainer, settings, measured=measured)

    monkeypatch.setattr("modeling.training_run.save_run", dying_save)
    assert main(options(coloured_folder, cut, *few)) == INTERRUPTED
    monkeypatch.undo()
    train_step, steps = Trainer.train_step, []

    def counted_step(trainer: Trainer) -> float:
        steps.append(trainer.step)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", counted_step)
    assert main(options(coloured_folder, cut, *few, "--resume")) == 0

    assert len(steps) == trained_again
    for name in ("curve.csv", "model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_stopped_at_once(coloured_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is stopped before its first step has measured no model."""

    def stopping_bar(**options: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return tqdm(**options)

    monkeypatch.setattr("modeling.training_run.tqdm", stopping_bar)
    assert main(options(coloured_folder, tmp_path, "--epochs", "1")) == INTERRUPTED

    assert not (tmp_path / "curve.csv").exists()
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_foreign_curve(
    coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    """A file in the curve's place that is none is left alone, and one line says so."""
    (tmp_path / "curve.csv").write_text("my\nnotes\n", encoding=encoding)

    assert main(options(coloured_folder, tmp_path, "--epochs", "1")) == 2
    assert "is not the curve of a run" in capsys.readouterr().err
    assert (tmp_path / "curve.csv").read_text(encoding=encoding) == "my\nnotes\n"


def test_resumed_without_its_start(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that began with other weights goes on without them, for its own are in its folder, and still names them."""
    assert main(options(coloured_folder, tmp_path / "first", "--epochs", "1")) == 0
    weights = (tmp_path / "first" / "model.safetensors").rename(tmp_path / "start.safetensors")
    again = options(coloured_folder, tmp_path / "again", "--epochs", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", stop)
        assert main([*again, "--weights", str(weights)]) == INTERRUPTED
    weights.unlink()

    assert main([*again, "--resume"]) == 0
    _, facts = load_checkpoint(tmp_path / "again" / "model.safetensors")
    assert facts is not None
    assert facts.recipe is not None
    assert facts.recipe["weights"] == str(weights)
    assert main([*again, "--weights", "another", "--resume"]) == 2
    assert "is finished" in capsys.readouterr().err


def test_folder_is_taken_from_the_start(coloured_folder: Path, tmp_path: Path) -> None:
    """A run whose first epoch has not ended already keeps a second one out of its folder."""

    def second_run(trainer: Trainer) -> float:
        assert trainer.step == 0
        assert main(options(coloured_folder, tmp_path)) == 2
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", second_run)
        assert main(options(coloured_folder, tmp_path)) == INTERRUPTED


def test_diverged_run(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose loss grows beyond all numbers ends with one line, and what was saved before stays."""
    assert main(options(coloured_folder, tmp_path, "--epochs", "9", "--learning-rate", "1e30", "--warm-up", "0")) == 2
    assert "the loss is not finite at step" in capsys.readouterr().err
    assert torch.load(tmp_path / "run.pth")["trainer"]["step"] == 0


def test_weights_that_cannot_be_stored(
    coloured_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that are too large for their file, after the last step of an epoch, do not replace those before."""
    train_step = Trainer.train_step

    def growing_step(trainer: Trainer) -> float:
        loss = train_step(trainer)
        if trainer.step == 2 * trainer.steps_per_epoch:
            next(trainer.result.parameters()).data.fill_(1e5)
        return loss

    monkeypatch.setattr(Trainer, "train_step", growing_step)
    assert main(options(coloured_folder, tmp_path, "--epochs", "2")) == 2

    message = "features.0.0.weight in the network after step 8 has numbers that are not finite"
    assert message in capsys.readouterr().err
    state, _ = load_checkpoint(tmp_path / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 2


def test_renamed_classes(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run does not go on with classes of other names, for the labels would mean something else."""
    data = tmp_path / "data"
    shutil.copytree(coloured_folder, data)
    assert main(options(data, tmp_path / "run", "--epochs", "1")) == 0
    (data / "blue").rename(data / "violet")

    assert main(options(data, tmp_path / "run", "--epochs", "1", "--resume")) == 2
    assert "other settings (classes: " in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["data", "test_data"])
def test_other_images(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    """A run does not go on with other images of the same number and classes, to train or to test with."""
    data = tmp_path / "images"
    shutil.copytree(coloured_folder, data)
    run = options(coloured_folder, tmp_path / "run", "--epochs", "1", "--test-data", str(coloured_folder))
    run[run.index("--" + setting.replace("_", "-")) + 1] = str(data)
    assert main(run) == 0
    with next((data / "blue").iterdir()).open("ab") as image:
        image.write(b"\0")

    assert main([*run, "--resume"]) == 2
    assert f"other settings ({setting}: " in capsys.readouterr().err


def test_finished_or_other_run(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds a run, or only its model, is not overwritten, and a finished run is not resumed."""
    once = options(coloured_folder, tmp_path, "--epochs", "1")
    assert main(once) == 0

    assert main(once) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*once, "--resume"]) == 2
    assert "is finished" in capsys.readouterr().err
    (tmp_path / "run.pth").unlink()
    assert main(once) == 2
    assert "holds a model already" in capsys.readouterr().err
