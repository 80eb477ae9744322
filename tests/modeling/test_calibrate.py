"""The calibration command: from weights and images to weights with a temperature."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from modeling.calibrate import main
from modeling.calibration import fit_temperature, logits_of, measure_calibration
from modeling.checkpoint import load_checkpoint, save_checkpoint
from modeling.evaluation import evaluate
from modeling.servable import Servable
from modeling.sources import read_images
from modeling.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from modeling.facts import ModelFacts


@pytest.fixture
def mixed_folder(coloured_folder: Path, tmp_path: Path) -> Path:
    """A folder for each of three colours, in which a quarter of the images has another colour."""
    names = [path.name for path in sorted(coloured_folder.iterdir())]
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        (tmp_path / "mixed" / name).mkdir(parents=True)
        for number in range(12):
            source = coloured_folder / (other if number % 4 == 0 else name) / f"{number}.png"
            (tmp_path / "mixed" / name / f"{number}.png").write_bytes(source.read_bytes())
    return tmp_path / "mixed"


@pytest.fixture
def weights(tmp_path: Path, facts: ModelFacts, coloured_folder: Path) -> Path:
    """A file of weights that tells the colours apart, and is very sure of it."""
    torch.manual_seed(0)
    facts = replace(facts, attention="none", accuracy=0.75)
    network = facts.build()
    pixels, _ = read_images(coloured_folder).decode(facts.size, facts.crop_fraction)
    classifier = network.classifier[1]
    features: list[torch.Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0]))
    with torch.no_grad():
        Servable(network, facts)(pixels)
        hook.remove()
        means = torch.stack([colour.mean(dim=0) for colour in features[0].split(12)])  # of the features of each colour
        means -= means.mean(dim=0)
        classifier.weight.copy_(means * 60 / means.square().sum(dim=1).mean())
        classifier.bias.copy_(-(classifier.weight @ features[0].mean(dim=0)))
    save_checkpoint(tmp_path / "model.safetensors", network.state_dict(), facts)
    return tmp_path / "model.safetensors"


def test_calibrate(weights: Path, mixed_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One half of each class decides the temperature, the other half measures it, and only the facts change."""
    state, facts = load_checkpoint(weights)
    assert facts is not None

    assert main([str(weights), "--data", str(mixed_folder), "--seed", "3"]) == 0

    calibrated_state, calibrated = load_checkpoint(weights)
    assert calibrated is not None
    assert all(torch.equal(tensor, state[name]) for name, tensor in calibrated_state.items())
    servable = Servable(load_weights(str(weights))[0], facts)
    fitted, others = read_images(mixed_folder).hold_out(0.5, 3)
    pixels, labels = fitted.decode(facts.size, facts.crop_fraction)
    assert calibrated.temperature == pytest.approx(fit_temperature(logits_of(servable, pixels), labels))
    assert calibrated.temperature > 5
    pixels, labels = others.decode(facts.size, facts.crop_fraction)
    before, after = (
        measure_calibration(logits_of(servable, pixels), labels, each.temperature) for each in (facts, calibrated)
    )
    assert after.likelihood_loss < before.likelihood_loss
    assert (calibrated.calibration_error, calibrated.calibration_images) == (pytest.approx(after.error), 18)
    expected = replace(
        facts,
        temperature=calibrated.temperature,
        calibration_error=calibrated.calibration_error,
        calibration_images=18,
    )
    assert calibrated == expected
    assert capsys.readouterr().out == (
        f"{weights}: temperature {calibrated.temperature:.4f}, fitted to 18 images; on 18 others\n"
        f"ECE  {before.error:.4f} before, {after.error:.4f} after (15 bins)\n"
        f"NLL  {before.likelihood_loss:.4f} before, {after.likelihood_loss:.4f} after\n"
    )


@pytest.mark.parametrize(("stored_size", "given"), [(32, []), (64, ["--size", "32"])])
def test_the_served_probabilities_are_calibrated(
    weights: Path, mixed_folder: Path, tmp_path: Path, stored_size: int, given: list[str]
) -> None:
    """The model that the weights make has the calibration error that is stored with them, also at another size."""
    state, facts = load_checkpoint(weights)
    assert facts is not None
    save_checkpoint(weights, state, replace(facts, size=stored_size))
    output = tmp_path / "other" / "calibrated.safetensors"
    before = weights.read_bytes()
    assert main([str(weights), "--data", str(mixed_folder), "--output", str(output), *given]) == 0

    assert weights.read_bytes() == before
    network, facts = load_weights(str(output))
    assert (facts.size, facts.accuracy) == (32, None if given else 0.75)  # measured at the stored size
    _, others = read_images(mixed_folder).hold_out(0.5, 1)
    evaluation = evaluate(Servable(network, facts), facts, others)
    assert evaluation.calibration_error() == pytest.approx(facts.calibration_error, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.safetensors"], "absent.safetensors"),
        (["bundled"], "give --output FILE.safetensors"),
        (["weights.pth"], "give --output FILE.safetensors"),
        (["bundled", "--output", "out.pth"], "give --output FILE.safetensors"),
        (["IN/foreign.safetensors"], "comes from elsewhere and would not stay as it is: give --output"),
        (["bundled", "--output", "OUT/out.safetensors"], "which the model does not know"),
        (["bundled", "--output", "OUT/out.safetensors", "--data", "absent"], "absent"),
        (["bundled", "--output", "OUT/out.safetensors", "--labels", "absent.txt"], "absent.txt"),
    ],
)
def test_refusals(
    coloured_folder: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    """What cannot be calibrated ends in exit code 2 and one line that says why, and nothing is written."""
    foreign = tmp_path_factory.mktemp("foreign") / "foreign.safetensors"
    save_file({"conv.weight": torch.ones(2, 2)}, foreign)
    before = foreign.read_bytes()
    arguments = [argument.replace("OUT", str(tmp_path)).replace("IN", str(foreign.parent)) for argument in arguments]

    assert main(["--data", str(coloured_folder), *arguments]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert list(foreign.parent.iterdir()) == [foreign]
    assert foreign.read_bytes() == before


def test_too_few_images(
    weights: Path, coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class with a single image cannot be halved."""
    for name in ("blue", "red"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes((coloured_folder / name / "0.png").read_bytes())
    before = weights.read_bytes()

    assert main([str(weights), "--data", str(tmp_path / "data")]) == 2
    assert "cannot hold out 0.5 of the 1 images of 'blue'" in capsys.readouterr().err
    assert weights.read_bytes() == before
