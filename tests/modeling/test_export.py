"""What is exported is what a server of either kind needs, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.checkpoint import save_checkpoint
from modeling.command import InputError
from modeling.comparison import ExportError
from modeling.export import Destination, _name_of, export_model, main
from modeling.model_config import Serving
from modeling.servable import InputForm, Precision, Servable
from modeling.torchscript import load_torchscript
from modeling.weights import BUNDLED_FILE
from server.check.check import check_repository
from tests.modeling.commands import FRESH
from tests.modeling.full_disk import files_of_at_most

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from modeling.facts import ModelFacts

    Trained = Callable[[ModelFacts], nn.Module]

COMMITTED = Path(__file__).parents[2] / "model_repository"


def tree(folder: Path) -> set[str]:
    """List all files below a folder, hidden ones included."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def everything(folder: Path) -> set[tuple[Path, bool]]:
    """List what is below a folder, and whether it is a folder."""
    return {(path, path.is_dir()) for path in folder.rglob("*")}


@pytest.mark.parametrize("form", InputForm)
@pytest.mark.parametrize("attention", ["ca", "none"])
def test_module_equals_network(
    tmp_path: Path, facts: ModelFacts, trained: Trained, form: InputForm, attention: str
) -> None:
    """The exported module gives the network's probabilities for every batch size up to the greatest."""
    facts = replace(facts, attention=attention)
    network = trained(facts)
    export_model(network, facts, Destination(tmp_path, "tiny"), Serving(form, max_batch_size=5))
    module, loaded_facts, loaded_form = load_torchscript(tmp_path / "tiny" / "1" / "model.pt")

    assert (loaded_facts, loaded_form) == (facts, form)
    for batch_size in range(1, 6):
        pixels = torch.randint(0, 256, (batch_size, 32, 32, 3), dtype=torch.uint8)
        unit = pixels.permute(0, 3, 1, 2) / 255
        normalised = (unit - torch.tensor(facts.mean).view(3, 1, 1)) / torch.tensor(facts.std).view(3, 1, 1)
        with torch.inference_mode():
            expected = network(normalised).softmax(dim=1)
            found = module(pixels if form is InputForm.UINT8 else unit)
        assert found.shape == (batch_size, 3)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_failed_check_leaves_nothing(tmp_path: Path, facts: ModelFacts, trained: Trained) -> None:
    """A network whose module cannot be right, here for a weight that is not a number, leaves no file and no folder."""
    network = trained(facts)
    with torch.no_grad():
        network.classifier[1].bias[0] = float("nan")  # type: ignore[operator]

    with pytest.raises(ExportError):
        export_model(network, facts, Destination(tmp_path, "broken"))

    assert list(tmp_path.iterdir()) == []


def test_failed_export_keeps_the_old_model(tmp_path: Path, facts: ModelFacts, trained: Trained) -> None:
    """An export that fails leaves the model that was there untouched."""
    network = trained(facts)
    export_model(network, facts, Destination(tmp_path, "tiny"))
    before = {name: (tmp_path / name).read_bytes() for name in tree(tmp_path)}
    with torch.no_grad():
        network.classifier[1].bias[0] = float("nan")  # type: ignore[operator]

    with pytest.raises(ExportError):
        export_model(network, facts, Destination(tmp_path, "tiny"))

    assert {name: (tmp_path / name).read_bytes() for name in tree(tmp_path)} == before


def test_export_again(tmp_path: Path, facts: ModelFacts, trained: Trained) -> None:
    """Exporting over a version replaces its module in one step and leaves files that stay the same alone."""
    destination = Destination(tmp_path, "tiny")
    export_model(trained(facts), facts, destination)
    held_open = destination.model_file().open("rb")
    old_module, old_config = destination.model_file().read_bytes(), (tmp_path / "tiny/config.pbtxt").stat().st_ino
    changed = trained(facts)
    with torch.no_grad():
        changed.classifier[1].bias.add_(torch.tensor([0.0, 0.5, 1.0]))  # type: ignore[operator]
    export_model(changed, facts, destination)

    with held_open:
        assert held_open.read() == old_module
    assert destination.model_file().read_bytes() != old_module
    assert (tmp_path / "tiny/config.pbtxt").stat().st_ino == old_config
    assert tree(tmp_path) == {"tiny/1/model.pt", "tiny/config.pbtxt", "tiny/labels.txt"}


@pytest.mark.parametrize(("form", "max_batch_size"), [(InputForm.UINT8, 10), (InputForm.FLOAT32, 1)])
def test_a_fresh_export_passes_the_check(
    tmp_path: Path, facts: ModelFacts, trained: Trained, form: InputForm, max_batch_size: int
) -> None:
    """Neither server has anything to reject, to ignore, or to surprise with."""
    export_model(trained(facts), facts, Destination(tmp_path, "tiny"), Serving(form, max_batch_size=max_batch_size))
    assert list(check_repository(tmp_path)) == []


@pytest.mark.parametrize("form", InputForm)
def test_bf16_is_inside_alone(tmp_path: Path, facts: ModelFacts, trained: Trained, form: InputForm) -> None:
    """A module in bfloat16 takes and gives what one in float32 does, and its probabilities differ little."""
    network = trained(facts)
    export_model(network, facts, Destination(tmp_path, "tiny"), Serving(form, Precision.BF16))
    module, _, _ = load_torchscript(tmp_path / "tiny" / "1" / "model.pt")
    pixels = form.from_pixels(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))
    with torch.inference_mode():
        expected, found = Servable(network, facts, form)(pixels), module(pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)
    assert not torch.equal(found, expected)
    assert next(network.parameters()).dtype == torch.float32


def test_committed_repository_is_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything in the committed repository, but for the network's module, is what the command writes."""
    assert main(["--model-repository", str(tmp_path)]) == 0

    assert "10 classes" in capsys.readouterr().out
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    del written[Path("ca_mobilenetv2/1/model.pt")]
    assert written.keys() >= {Path("decode_image/1/model.py"), Path("classify_image/config.pbtxt")}
    for path, content in written.items():
        assert (COMMITTED / path).read_bytes() == content, path


def test_command_exports_a_file(tmp_path: Path) -> None:
    """A file of weights is exported under its own name, at the size and with the labels that are asked for."""
    shutil.copy(BUNDLED_FILE, tmp_path / "mine.safetensors")
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(10)))
    options = ["--labels", str(tmp_path / "labels.txt"), "--size", "40", "--max-batch-size", "2", "--version", "7"]
    options += ["--input", "float32", "--model-repository", str(tmp_path / "repository")]

    assert main(["--weights", str(tmp_path / "mine.safetensors"), *options]) == 0

    module, facts, form = load_torchscript(tmp_path / "repository/mine/7/model.pt")
    assert (facts.size, facts.classes[9], form) == (40, "class 9", InputForm.FLOAT32)
    assert facts.accuracy is None  # which was measured at another size
    assert module(torch.zeros(1, 3, 40, 40)).sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attention", "se"], "--attention goes with --weights fresh"),
        (["--weights", "mine.pth", "--seed", "0"], "--seed goes with --weights fresh"),
        (["--weights", "absent.pth"], "absent.pth"),
        (["--labels", "absent.txt"], "absent.txt"),
        (["--name", "../elsewhere"], "no name for a model"),
        (["--name", ""], "no name for a model"),
        (["--model-repository", "/dev/null/repository"], "/dev/null"),
    ],
)
def test_command_refuses(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    """What cannot be exported ends in exit code 2 and one line that says why."""
    assert main(["--model-repository", "/dev/null", *options]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ensemble", "a/b"], "'a/b' is no name for a model"),
        (["--ensemble", "tiny"], "the ensemble 'tiny' would take the place of the network 'tiny'"),
        (["--name", "decode_tiny", "--ensemble", "classify_tiny"], "the place of the network 'decode_tiny'"),
    ],
)
def test_wrong_ensembles_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """An ensemble that cannot stand beside the network is refused before the network is written."""
    assert main([*FRESH, "--name", "tiny", "--model-repository", str(tmp_path), *options]) == 2

    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "taken", ["tiny/labels.txt", "tiny/config.pbtxt", "decode_tiny/config.pbtxt", "classify_tiny/1"]
)
def test_one_file_that_cannot_be_written_leaves_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: str
) -> None:
    """Where a folder stands in the place of a file, or the other way round, the repository stays as it was."""
    path = tmp_path / taken
    path.parent.mkdir(parents=True)
    (Path.touch if path.name == "1" else Path.mkdir)(path)
    before = everything(tmp_path)

    options = ["--name", "tiny", "--ensemble", "classify_tiny", "--model-repository", str(tmp_path)]
    assert main([*FRESH, *options]) == 2

    assert taken in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a module does not fit on the disk, the command ends in one line, and nothing is written."""
    with files_of_at_most(1000):
        assert main([*FRESH, "--model-repository", str(tmp_path / "repository")]) == 2

    error = capsys.readouterr().err
    assert "File too large" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    "options", [["--input", "int7"], ["--version", "0"], ["--max-batch-size", "0"], ["--size=-1"], ["--seed=-1"]]
)
def test_command_refuses_wrong_values(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """A wrong value ends in exit code 2 and one line, too."""
    with pytest.raises(SystemExit) as leaving:
        main(options)

    assert leaving.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_command_reports_a_failed_check(
    tmp_path: Path, facts: ModelFacts, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module that does not pass its check is reported, and nothing is written."""
    state = trained(facts).state_dict()
    state["conv.1.running_var"][0] = -1  # which has no root
    weights = tmp_path / "broken.safetensors"
    save_checkpoint(weights, state, facts)

    assert main(["--weights", str(weights), "--model-repository", str(tmp_path / "repository")]) == 2

    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("runs/cats/model.safetensors", "cats"),
        ("runs/ships/../dogs/model.safetensors", "dogs"),
        ("runs/cats/best.safetensors", "best"),
        ("a cat/model.safetensors", "model"),
        ("/model.safetensors", "model"),
        ("cats/model.pth", "model"),
    ],
)
def test_default_names(weights: str, name: str) -> None:
    """A model is called like its file, or like its run's folder, for all runs' files have the same name."""
    assert _name_of(weights) == name


def test_destination_names() -> None:
    """A model's name becomes a folder's and nothing more."""
    for name in ("a/b", "..", ".hidden", 'a"b', "a\nb"):
        with pytest.raises(InputError):
            Destination(Path(), name)


def test_activations_that_grow_are_no_mistake(tmp_path: Path) -> None:
    """A fresh network with BAM, whose blocks nearly double what they get, is exported as it is compared with others."""
    assert main(["--weights", "fresh", "--attention", "bam", "--model-repository", str(tmp_path)]) == 0
