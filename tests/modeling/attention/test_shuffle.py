"""Shuffle Attention computes what its paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from modeling.attention.shuffle import ShuffleAttention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def test_formula(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """Group by group: one half is gated by its channels' means, one by its normalised self; then all are shuffled."""
    torch.manual_seed(0)
    module = ShuffleAttention(48)
    randomised(module)
    x = torch.randn(2, 48, 4, 5)
    gated = []
    for group in x.split(6, dim=1):
        channel, spatial = group[:, :3], group[:, 3:]
        means = functional.adaptive_avg_pool2d(channel, 1).flatten(1)
        gate = torch.sigmoid(means * module.channel_weight + module.channel_bias)
        gated += [channel * gate[:, :, None, None]]
        normalised = functional.group_norm(spatial, 3, module.norm.weight, module.norm.bias)
        sums = module.spatial_weight.view(3, 1, 1) * normalised + module.spatial_bias.view(3, 1, 1)
        gated += [spatial * torch.sigmoid(sums)]
    whole = torch.cat(gated, dim=1)
    expected = torch.stack([whole[:, :24], whole[:, 24:]], dim=2).flatten(1, 2)

    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize(("channels", "groups"), [(96, 8), (144, 8), (72, 4), (58, 1), (2, 1)])
def test_groups(channels: int, groups: int) -> None:
    """There are eight groups, or as many as halves of whole channels allow."""
    assert ShuffleAttention(channels).groups == groups
