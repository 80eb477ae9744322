"""The averaging command: from the weights of several runs to one file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.average import main
from modeling.checkpoint import load_checkpoint, save_checkpoint
from modeling.evaluate import main as evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from modeling.facts import ModelFacts


@pytest.fixture
def runs(tmp_path: Path, facts: ModelFacts, trained: Callable[[ModelFacts], nn.Module]) -> list[Path]:
    """The files of two runs, with what was measured of each."""
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for number, path in enumerate(paths):
        network = trained(facts)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.01 * number)
        save_checkpoint(path, network.state_dict(), replace(facts, temperature=2.0, recipe={"seed": number}))
    return paths


def test_average(runs: list[Path], coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each tensor is the mean of the runs', and the accuracy is that which evaluation finds."""
    output = tmp_path / "mean.safetensors"
    assert main([*map(str, runs), "--output", str(output), "--data", str(coloured_folder)]) == 0

    (one, first), (two, _), (mean, facts) = (load_checkpoint(path) for path in (*runs, output))
    assert first is not None
    assert facts is not None
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (one[name] + two[name]) / 2, rtol=1e-3, atol=1e-3, check_dtype=False)
    assert facts.accuracy is not None
    assert facts == replace(
        first,
        temperature=1.0,
        accuracy=facts.accuracy,
        accuracy_images=36,
        recipe={"average of": [{"seed": 0}, {"seed": 1}]},
    )
    assert capsys.readouterr().out == f"{output}: top-1 {facts.accuracy:.2%} of 36 images\n"
    assert evaluate([str(output), "--data", str(coloured_folder)]) == 0
    assert f"top-1       {facts.accuracy:.2%}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "output", "message"),
    [
        ({"size": 16}, "mean.safetensors", "two.safetensors and "),
        ({"classes": ("a", "b", "c")}, "mean.safetensors", "are different networks, or see images differently"),
        ({}, "mean.pth", "mean.pth is no .safetensors file"),
    ],
)
def test_refusals(
    runs: list[Path],
    coloured_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    output: str,
    message: str,
) -> None:
    """What cannot be averaged, or not be written, ends in one line, and nothing is written."""
    state, facts = load_checkpoint(runs[1])
    assert facts is not None
    save_checkpoint(runs[1], state, replace(facts, **change))  # type: ignore[arg-type] # fields of several types
    arguments = [*map(str, runs), "--output", str(tmp_path / output), "--data", str(coloured_folder)]

    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / output).exists()
