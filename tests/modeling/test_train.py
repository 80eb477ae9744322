"""The training command: from images to weights that the other commands take."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.checkpoint import load_checkpoint
from modeling.evaluate import main as evaluate
from modeling.export import main as export
from modeling.train import main
from tests.modeling.commands import options
from tests.modeling.marks import NEEDS_A_COMPILER, NEEDS_A_GPU

if TYPE_CHECKING:
    from pathlib import Path


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
        assert evaluate([str(repository / "run" / "1" / "model.pt"), *data]) == 0
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
    assert "dims: [ 16, 16, 3 ]" in (tmp_path / "repository" / "run" / "config.pbtxt").read_text()
    other = options(coloured_folder, tmp_path / "run", *larger[:-1], "1", "--resume")
    assert main(other) == 2
    assert "enlargement: 2 then, 1 now" in capsys.readouterr().err


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
    """A network learns from others that were trained, its file says from which, and it goes on with the same only.

    They are the same under whatever name.
    """
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
    moved = ["--teachers", str(shutil.copy(teacher / "model.safetensors", tmp_path / "moved.safetensors"))]
    assert main(options(coloured_folder, student, "--epochs", "1", *moved, "--resume")) == 2
    assert "is finished" in capsys.readouterr().err
    shutil.copy(student / "model.safetensors", teacher)
    shutil.copy(student / "model.json", teacher)
    assert main(options(coloured_folder, student, "--epochs", "1", *taught, "--resume")) == 2
    assert "other settings (teachers_weights: " in capsys.readouterr().err


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
        (["--teachers", "a", "--teacher-share", "1.1"], "teacher_share must be in [0, 1], got 1.1"),
        (["--teachers", "a", "--teacher-temperature", "0"], "teacher_temperature must be positive and finite, got 0.0"),
        (["--teacher-share", "0.9"], "--teacher-share is for --teachers FILE"),
        (["--teacher-temperature", "4"], "--teacher-temperature is for --teachers FILE"),
        (["--held-out-share", "0.1", "--test-data", "a"], "--held-out-share is for images of your own without"),
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


def test_classes_must_match(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Test images of a class that is not trained are refused."""
    (tmp_path / "blue").symlink_to(coloured_folder / "blue")
    (tmp_path / "yellow").symlink_to(coloured_folder / "red")

    assert main(options(coloured_folder, tmp_path / "run", "--test-data", str(tmp_path))) == 2
    assert "'yellow', which the model does not know" in capsys.readouterr().err


def test_one_class(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images of a single class are nothing to train on: told in one line, and no run is begun."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "red").symlink_to(coloured_folder / "red")
    assert main(options(tmp_path / "data", tmp_path / "run")) == 2
    assert capsys.readouterr().err == f"python -m modeling.train: {tmp_path / 'data'} has fewer than two classes\n"
    assert not (tmp_path / "run").exists()
