"""CBAM computes what its paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from modeling.attention.cbam import CBAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def test_formula(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """Channels are gated by their means and maxima, then positions by the mean and maximum of what is left."""
    torch.manual_seed(0)
    module = CBAM(48)
    randomised(module)
    x = torch.randn(2, 48, 6, 5)
    means, maxima = functional.adaptive_avg_pool2d(x, 1), functional.adaptive_max_pool2d(x, 1)
    refined = x * torch.sigmoid(module.channel.mlp(means) + module.channel.mlp(maxima))
    described = torch.stack([refined.max(dim=1).values, refined.mean(dim=1)], dim=1)
    kernel, norm = module.spatial.conv.weight, module.spatial.bn
    convolved = functional.conv2d(functional.pad(described, (3, 3, 3, 3)), kernel)
    gate = torch.sigmoid(norm(convolved))

    torch.testing.assert_close(module(x), refined * gate)


def test_spatial_gate_is_one_for_all_channels(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """All channels of a position are weighed alike in the second step."""
    torch.manual_seed(0)
    module = CBAM(48)
    randomised(module)
    x = torch.randn(1, 48, 4, 4)
    gate = module.spatial(x) / x

    torch.testing.assert_close(gate, gate[:, :1].expand_as(gate))
