"""Muon moves matrices as its authors say, those of one shape together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modeling.muon import Muon, orthogonalised

SHAPES = [(16, 8), (8, 16), (16, 8), (5, 5), (8, 16)]


def matrices() -> list[nn.Parameter]:
    """Draw matrices, some of the same shape, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_as_pytorch_moves_them_one_by_one() -> None:
    """Several steps with momentum and decay end where PyTorch's own Muon ends."""
    ours, theirs = matrices(), matrices()
    group = {"lr": 0.1, "weight_decay": 0.05}
    optimizers = [
        Muon([{"params": ours, **group}]),
        torch.optim.Muon([{"params": theirs, **group}], adjust_lr_fn="match_rms_adamw"),
    ]
    for step in range(4):
        for index, both in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(SHAPES[index], generator=torch.Generator().manual_seed(10 * step + index))
            for matrix in both:
                matrix.grad = None if index == step else gradient.clone()
        for optimizer in optimizers:
            optimizer.step()

    start = matrices()
    for mine, other, first in zip(ours, theirs, start, strict=True):
        assert (mine - other).norm() < 0.02 * (other - first).norm()  # bfloat16 is rounded in other orders


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonalised(shape: tuple[int, int]) -> None:
    """Singular values become about 1, whatever the size of the matrix's entries, and zeros stay zeros."""
    several = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-4, 1, 1e4]).view(
        -1, 1, 1
    )
    values = torch.linalg.svdvals(orthogonalised(several).float())

    assert values.median() == pytest.approx(1, abs=0.3)
    assert 0.4 < values.min() < values.max() < 1.3
    assert not orthogonalised(torch.zeros(1, *shape)).any()
