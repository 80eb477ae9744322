"""The simplified Coordinate Attention computes what its listing says, which is not what the paper's does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from modeling.attention.coordinate_shared import SharedCoordinateAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def test_formula(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """Rows and columns pass the same two convolutions with a ReLU between them."""
    torch.manual_seed(0)
    module = SharedCoordinateAttention(48)
    randomised(module)
    x = torch.randn(2, 48, 4, 6)
    rows = module.gate(module.reduce(x.mean(dim=3, keepdim=True)).relu()).sigmoid()
    columns = module.gate(module.reduce(x.mean(dim=2, keepdim=True)).relu()).sigmoid()

    torch.testing.assert_close(module(x), x * rows * columns)


def test_transposed_images(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """With one gate for both directions, a transposed activation gives the transposed result."""
    torch.manual_seed(0)
    module = randomised(SharedCoordinateAttention(48))
    x = torch.randn(2, 48, 4, 6)

    torch.testing.assert_close(module(x.transpose(2, 3)), module(x).transpose(2, 3))
