"""Accuracy is counted right, and what cannot be measured is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from modeling.evaluate import main
from modeling.evaluation import top_k_accuracy

if TYPE_CHECKING:
    from pathlib import Path


def test_counting() -> None:
    """The right class counts where it is among the k most probable, over batches of unequal size."""
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [2, 3, 1], [1, 3, 2]])
    numbered = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
    labels = torch.tensor([0, 1, 0, 1, 0])

    accuracies = top_k_accuracy(lambda pixels: scores[pixels.flatten().long()], numbered, labels, (1, 2, 3), 2)

    assert accuracies == (2 / 5, 3 / 5, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.safetensors"], "absent.safetensors"),
        (["absent.pt"], "absent.pt"),
        (["bundled"], "which the model does not know"),
        (["bundled", "--labels", "absent.txt"], "absent.txt"),
    ],
)
def test_refusals(
    coloured_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be measured ends in exit code 2 and one line that says why."""
    assert main([*arguments, "--data", str(coloured_folder)]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_foreign_module(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no exported module is refused."""
    (tmp_path / "model.pt").write_bytes(b"text")

    assert main([str(tmp_path / "model.pt"), "--data", str(coloured_folder)]) == 2
    assert "as TorchScript" in capsys.readouterr().err
