"""What is counted of a model's answers."""

from __future__ import annotations

import torch

from modeling.evaluation import measure_accuracy


def test_counting() -> None:
    """Of more images than a batch holds, those count whose right class is the most probable."""
    scores = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 2, 3], [2, 3, 1], [1, 3, 2]])
    pixels = torch.arange(150).remainder(5).to(torch.uint8).view(150, 1, 1, 1)
    labels = torch.tensor([0, 1, 0, 1, 0]).repeat(30)

    assert measure_accuracy(lambda pixels: scores[pixels.flatten().long()], pixels, labels) == 2 / 5
