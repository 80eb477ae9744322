"""BAM computes what its paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from modeling.attention.bam import BAM

if TYPE_CHECKING:
    from collections.abc import Callable


def test_formula(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """To x is added x times one gate, the sigmoid of a sum over channels and positions."""
    torch.manual_seed(0)
    module = BAM(48)
    randomised(module)
    x = torch.randn(2, 48, 9, 7)
    channels = module.channel(x.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True))
    sums = channels.expand(2, 48, 9, 7) + module.spatial(x).expand(2, 48, 9, 7)

    torch.testing.assert_close(module(x), x * (1 + 1 / (1 + torch.exp(-sums))))


def test_branches() -> None:
    """Both branches are reduced by 16 and normalised at their end, and positions see four steps far, twice."""
    module = BAM(64)
    convolutions = [layer for layer in module.spatial if isinstance(layer, nn.Conv2d)]

    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [(64, 4), (4, 4), (4, 4), (4, 1)]
    assert [layer.dilation[0] for layer in convolutions] == [1, 4, 4, 1]
    assert [layer.out_channels for layer in module.channel if isinstance(layer, nn.Conv2d)] == [4, 64]
    kinds = [type(layer) for layer in module.spatial]
    dilated = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Conv2d, *dilated, *dilated, nn.Conv2d, nn.BatchNorm2d]
    assert [type(layer) for layer in module.channel] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
