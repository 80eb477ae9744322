"""Coordinate Attention computes what its paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from modeling.attention.coordinate import CoordinateAttention, HSwish

if TYPE_CHECKING:
    from collections.abc import Callable


def attention_by_hand(module: CoordinateAttention, x: Tensor) -> Tensor:
    """Compute section 3.2's equations row by row and column by column, with matrix products only."""

    def pointwise(convolution: nn.Conv2d, vectors: Tensor) -> Tensor:
        assert convolution.bias is not None
        return vectors @ convolution.weight[:, :, 0, 0].T + convolution.bias

    def encode(means: Tensor) -> Tensor:  # [N, C] to [N, C / r]
        bn = module.bn1
        reduced = pointwise(module.conv1, means)
        assert bn.running_mean is not None
        assert bn.running_var is not None
        reduced = (reduced - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
        return reduced * (reduced + 3).clamp(0, 6) / 6

    def gate(convolution: nn.Conv2d, encoded: Tensor) -> Tensor:  # [N, C / r] to [N, C]
        return 1 / (1 + torch.exp(-pointwise(convolution, encoded)))

    result = torch.empty_like(x)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            row_gate = gate(module.conv2, encode(x[:, :, row, :].sum(-1) / x.shape[3]))
            column_gate = gate(module.conv3, encode(x[:, :, :, column].sum(-1) / x.shape[2]))
            result[:, :, row, column] = x[:, :, row, column] * row_gate * column_gate
    return result


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 1)])
def test_formula(height: int, width: int, randomised: Callable[[nn.Module], nn.Module]) -> None:
    """Coordinate Attention computes what the paper's equations say for each position."""
    torch.manual_seed(0)
    module = CoordinateAttention(96)
    randomised(module)
    x = torch.randn(2, 96, height, width)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), attention_by_hand(module, x))


@pytest.mark.parametrize(("channels", "reduced"), [(16, 8), (256, 8), (320, 10), (960, 30)])
def test_reduction(channels: int, reduced: int) -> None:
    """Both directions are encoded with a 32nd of the channels, and with 8 at least."""
    assert CoordinateAttention(channels).conv1.out_channels == reduced


def test_h_swish() -> None:
    """h-swish is zero below -3, the identity above 3 and x (x + 3) / 6 in between."""
    x = torch.tensor([-5.0, -3.0, 0.0, 1.0, 3.0, 5.0])

    torch.testing.assert_close(HSwish()(x), torch.tensor([0.0, 0.0, 0.0, 4 / 6, 3.0, 5.0]))
