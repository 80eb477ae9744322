"""The training command: from images to weights that the other commands take."""

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
from modeling.evaluate import main as evaluate
from modeling.export import main as export
from modeling.run_file import save_run
from modeling.train import main
from modeling.training import Trainer
from tests.modeling.marks import NEEDS_A_COMPILER, NEEDS_A_GPU

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--width", "0.1", "--sizes", "32", "--batch-size", "8", "--learning-rate", "0.01", "--average-decay", "0.5"]


def options(data: Path, output: Path, *more: str) -> list[str]:
    """Return the options of a small run."""
    return ["--data", str(data), "--output", str(output), *SMALL, *more]


def test_train_evaluate_export(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is trained on a folder can be measured and exported, and all three agree on how good it is."""
    model = tmp_path / "run" / "model.safetensors"
    data = ["--data", str(coloured_folder)]

    assert main(options(coloured_folder, tmp_path / "run", "--epochs", "2", "--held-out-share", "0.2")) == 0
    _, facts = load_checkpoint(model)
    assert (facts.classes, facts.size, facts.accuracy_images) == (("blue", "green", "red"), 32, 6)
    assert facts.recipe is not None
    assert facts.recipe["epochs"] == 2
    assert facts.accuracy is not None
    assert f"epoch 2/2: top-1 {facts.accuracy:.2%} of 6 images" in capsys.readouterr().out
    heading, _, last = (tmp_path / "run" / "curve.csv").read_text().splitlines()
    assert (heading, last) == ("epoch,size,accuracy", f"2,32,{facts.accuracy:.4f}")

    assert evaluate([str(model), *data]) == 0
    _, images, *accuracy = capsys.readouterr().out.splitlines()[:4]
    assert images == "images      36, none failed"
    for form in ("uint8", "float32"):
        repository = tmp_path / form
        assert export(["--weights", str(model), "--model-repository", str(repository), "--input", form]) == 0
        capsys.readouterr()
        assert evaluate([str(repository / "model" / "1" / "model.pt"), *data]) == 0
        assert capsys.readouterr().out.splitlines()[2:4] == accuracy


def test_separate_test_images(coloured_folder: Path, packed_file: Path, tmp_path: Path) -> None:
    """Accuracy is measured on the test images that are given, of any kind of source."""
    assert main(options(coloured_folder, tmp_path, "--epochs", "1", "--test-data", str(packed_file))) == 0

    assert load_checkpoint(tmp_path / "model.safetensors")[1].accuracy_images == 6


def test_enlargement(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images are served small where the network sees them enlarged; the sizes in training are those that it sees."""
    larger = ["--epochs", "1", "--sizes", "24,32", "--enlargement", "2"]
    assert main(options(coloured_folder, tmp_path / "run", *larger)) == 0

    model = tmp_path / "run" / "model.safetensors"
    _, facts = load_checkpoint(model)
    assert facts is not None
    assert (facts.size, facts.enlargement) == (16, 2)
    assert export(["--weights", str(model), "--model-repository", str(tmp_path / "repository")]) == 0
    assert "3 classes, 16x16" in capsys.readouterr().out
    assert "dims: [ 16, 16, 3 ]" in (tmp_path / "repository" / "model" / "config.pbtxt").read_text()
    other = options(coloured_folder, tmp_path / "run", *larger[:-1], "1", "--resume")
    assert main(other) == 2
    assert "enlargement: 2 then, 1 now" in capsys.readouterr().err


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
    """A run that began with other weights goes on without them: its own are in its folder."""
    assert main(options(coloured_folder, tmp_path / "first", "--epochs", "1")) == 0
    weights = (tmp_path / "first" / "model.safetensors").rename(tmp_path / "start.safetensors")
    again = [*options(coloured_folder, tmp_path / "again", "--epochs", "1"), "--weights", str(weights)]
    assert main(again) == 0
    weights.unlink()

    assert main([*again, "--resume"]) == 2
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


def test_renamed_classes(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run does not go on with classes of other names, for the labels would mean something else."""
    data = tmp_path / "data"
    shutil.copytree(coloured_folder, data)
    assert main(options(data, tmp_path / "run", "--epochs", "1")) == 0
    (data / "blue").rename(data / "violet")

    assert main(options(data, tmp_path / "run", "--epochs", "1", "--resume")) == 2
    assert "other settings (classes: " in capsys.readouterr().err


@NEEDS_A_COMPILER
def test_kernels(coloured_folder: Path, tmp_path: Path) -> None:
    """With kernels of our own, in bfloat16, the same network is trained: it learns, and the model says how."""
    quick = ["--epochs", "60", "--kernels", "own", "--precision", "bf16", "--held-out-share", "0.2", "--width", "0.1"]
    assert main(options(coloured_folder, tmp_path, *quick)) == 0

    _, facts = load_checkpoint(tmp_path / "model.safetensors")
    assert facts.accuracy is not None
    assert facts.accuracy > 0.6
    assert facts.recipe is not None
    assert (facts.recipe["kernels"], facts.recipe["precision"]) == ("own", "bf16")


@NEEDS_A_GPU
def test_on_a_gpu(coloured_folder: Path, tmp_path: Path) -> None:
    """A run on a GPU learns from JPEG views and a teacher as on a processor, and its weights are read anywhere."""
    assert main(options(coloured_folder, tmp_path / "teacher", "--epochs", "1", "--device", "cpu")) == 0
    teacher = str(tmp_path / "teacher" / "model.safetensors")
    run = options(coloured_folder, tmp_path / "run", "--epochs", "2", "--device", "cuda", "--precision", "bf16")

    assert main([*run, "--teachers", teacher, "--jpeg-quality", "75", "--optimizer", "muon", "--variety", "sharp"]) == 0
    assert evaluate([str(tmp_path / "run" / "model.safetensors"), "--data", str(coloured_folder)]) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told in one line, and no run is begun."""
    assert main(options(coloured_folder, tmp_path / "run", "--device", "cuda")) == 2

    assert capsys.readouterr().err == "python -m modeling.train: PyTorch finds no GPU here: give --device cpu\n"
    assert not (tmp_path / "run").exists()


def test_start_from_weights(coloured_folder: Path, packed_file: Path, tmp_path: Path) -> None:
    """A run can start from trained weights: from all where they are known to be for its classes, else in part."""
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    still = ["--epochs", "1", "--learning-rate", "0", "--test-data", str(packed_file)]
    assert main(options(coloured_folder, first, "--epochs", "1")) == 0
    weights = ["--weights", str(first / "model.safetensors")]
    state, _ = load_checkpoint(first / "model.safetensors")

    assert main([*options(coloured_folder, again, *still), *weights]) == 0
    assert torch.equal(
        load_checkpoint(again / "model.safetensors")[0]["classifier.1.weight"], state["classifier.1.weight"]
    )

    torch.save(state, tmp_path / "nameless.pth")
    nameless = ["--weights", str(tmp_path / "nameless.pth")]
    assert main([*options(coloured_folder, tmp_path / "nameless", *still), *nameless]) == 0
    found, _ = load_checkpoint(tmp_path / "nameless" / "model.safetensors")
    assert torch.equal(found["conv.0.weight"], state["conv.0.weight"])
    assert not torch.equal(found["classifier.1.weight"], state["classifier.1.weight"])

    for name, colour in (("one", "red"), ("two", "green")):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(coloured_folder / colour)
    assert main([*options(tmp_path / "data", other, "--epochs", "1", "--learning-rate", "0"), *weights]) == 0
    found, facts = load_checkpoint(other / "model.safetensors")
    assert facts.classes == ("one", "two")
    assert torch.equal(found["conv.0.weight"], state["conv.0.weight"])
    assert found["classifier.1.weight"].shape == (2, 1280)


def test_teachers(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network learns from others that were trained, its file says from which, and it goes on with the same only."""
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    assert main(options(coloured_folder, teacher, "--epochs", "1", "--network", "airbench", "--attention", "none")) == 0

    taught = ["--teachers", str(teacher / "model.safetensors")]
    assert main(options(coloured_folder, student, "--epochs", "1", *taught)) == 0
    _, facts = load_checkpoint(student / "model.safetensors")
    assert facts is not None
    assert facts.recipe is not None
    assert facts.recipe["teachers"] == taught[1:]
    capsys.readouterr()
    assert main(options(coloured_folder, student, "--epochs", "1", "--resume")) == 2
    assert "other settings (teachers: " in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows every default."""
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])

    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for default in ("cifar10", "48,64", "0.003", "0.998", "128", "runs/cifar10", "ca", "0"):
        assert f"(default: {default})" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "absent"], "absent"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--batch-size", "1"], "batch_size must be at least 2"),
        (["--seed", "-1"], "seed must be from 0 to 4294967295, got -1"),
        (["--seed", "4294967296"], "seed must be from 0 to 4294967295, got 4294967296"),
        (["--learning-rate", "-1"], "learning_rate must be at least 0 and finite, got -1.0"),
        (["--learning-rate", "nan"], "learning_rate must be at least 0 and finite, got nan"),
        (["--weight-decay", "inf"], "weight_decay must be at least 0 and finite, got inf"),
        (["--held-out-share", "2"], "the share to hold out must be above 0 and below 1, got 2.0"),
        (["--held-out-share", "nan"], "the share to hold out must be above 0 and below 1, got nan"),
        (["--held-out-share", "0.99"], "cannot hold out"),
        (["--width", "-1"], "width"),
        (["--crop-fraction", "0"], "crop fraction"),
        (["--average-decay", "1"], "average_decay must be in [0, 1), got 1.0"),
        (["--network", "airbench", "--sizes", "8,32"], "airbench must see at least 9 pixels a side"),
        (["--sizes", "24,32", "--enlargement", "3"], "the last size, 32, is not a multiple of the enlargement, 3"),
        (["--teacher-share", "1.1"], "teacher_share must be in [0, 1], got 1.1"),
        (["--teacher-temperature", "0"], "teacher_temperature must be positive and finite, got 0.0"),
        (["--teachers", "bundled"], "the teacher bundled knows other classes (airplane, "),
        (["--teachers", "absent"], "absent does not exist: give a file of weights"),
        (["--resume"], "no run to resume"),
        (["--test-data", "absent"], "absent"),
    ],
)
def test_refusals(
    coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    """What cannot be trained ends in exit code 2 and one line that says why."""
    assert main(options(coloured_folder, tmp_path, *more)) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_finished_or_other_run(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds a run is not overwritten, and a finished run is not resumed."""
    once = options(coloured_folder, tmp_path, "--epochs", "1")
    assert main(once) == 0

    assert main(once) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main([*once, "--resume"]) == 2
    assert "is finished" in capsys.readouterr().err


def test_classes_must_match(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Test images of a class that is not trained are refused."""
    (tmp_path / "blue").symlink_to(coloured_folder / "blue")
    (tmp_path / "yellow").symlink_to(coloured_folder / "red")

    assert main(options(coloured_folder, tmp_path / "run", "--test-data", str(tmp_path))) == 2
    assert "'yellow', which the model does not know" in capsys.readouterr().err
