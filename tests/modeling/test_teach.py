"""The command that trains a teacher: from images to weights that others learn from."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from modeling.checkpoint import load_checkpoint
from modeling.command import INTERRUPTED
from modeling.evaluate import main as evaluate
from modeling.quick_training import QuickTrainer
from modeling.teach import main
from modeling.train import main as train
from tests.modeling.marks import NEEDS_A_GPU

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--device", "cpu", "--size", "12", "--width", "0.1"]


def options(data: Path, output: Path, *more: str) -> list[str]:
    """Return the options of a small run."""
    return ["--data", str(data), "--output", str(output), *SMALL, *more]


def interrupted(run: list[str]) -> int:
    """Run the command, which a signal stops in its third step, and return its exit code."""
    train_step = QuickTrainer.train_step

    def interrupted_step(trainer: QuickTrainer) -> float:
        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
        return train_step(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickTrainer, "train_step", interrupted_step)
        return main(run)


def test_teach_and_learn(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The teacher's file says how good it is and how it was trained, can be measured, and another learns from it."""
    run = options(coloured_folder, tmp_path / "teacher", "--epochs", "40", "--held-out-share", "0.5", "--seed", "3")
    assert main(run) == 0
    model = str(tmp_path / "teacher" / "model.safetensors")
    _, facts = load_checkpoint(tmp_path / "teacher" / "model.safetensors")
    assert facts is not None
    assert (facts.network, facts.attention, facts.size, facts.accuracy_images) == ("airbench", "none", 12, 18)
    assert facts.accuracy is not None
    assert facts.accuracy > 0.6
    assert facts.recipe is not None
    assert (facts.recipe["method"], facts.recipe["epochs"], facts.recipe["seed"]) == ("quick_training", 40, 3)
    assert f"epoch 40/40: top-1 {facts.accuracy:.2%} of 18 images" in capsys.readouterr().out

    assert evaluate([model, "--data", str(coloured_folder)]) == 0
    student = ["--output", str(tmp_path / "student"), "--width", "0.1", "--sizes", "32", "--epochs", "1"]
    assert train(["--data", str(coloured_folder), *student, "--teachers", model]) == 0


def test_resumed_command(coloured_folder: Path, tmp_path: Path) -> None:
    """A command that a signal stops and that is resumed writes the same weights and curve."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    few = ["--epochs", "4"]
    assert main(options(coloured_folder, whole, *few)) == 0
    assert interrupted(options(coloured_folder, cut, *few)) == INTERRUPTED
    assert main(options(coloured_folder, cut, *few, "--resume")) == 0

    for name in ("curve.csv", "model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


@NEEDS_A_GPU
def test_on_a_gpu(coloured_folder: Path, tmp_path: Path) -> None:
    """A run on a GPU is interrupted and goes on there, and its weights are read anywhere."""
    run = options(coloured_folder, tmp_path, "--epochs", "4", "--device", "cuda", "--precision", "bf16")
    assert interrupted(run) == INTERRUPTED
    assert main([*run, "--resume"]) == 0
    assert evaluate([str(tmp_path / "model.safetensors"), "--data", str(coloured_folder)]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--size", "8"], "airbench must see at least 9 pixels a side"),
        (["--width", "-1"], "width must be positive"),
        (["--data", "absent"], "absent"),
        (["--resume"], "no run to resume"),
    ],
)
def test_refusals(
    coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    """What cannot be trained ends in exit code 2 and one line that says why."""
    assert main(options(coloured_folder, tmp_path / "run", *more)) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_another_run(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds a run is not overwritten, and goes on with the same settings only."""
    once = options(coloured_folder, tmp_path, "--epochs", "1")
    assert main(once) == 0

    assert main(once) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*once, "--seed", "1", "--resume"]) == 2
    assert "seed: 0 then, 1 now" in capsys.readouterr().err
