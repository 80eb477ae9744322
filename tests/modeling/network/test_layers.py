"""Layers have the sizes that the papers give them."""

from __future__ import annotations

import torch
from torch import nn

from modeling.network.layers import initialise, scale_channels, scale_mobile_channels


def test_scaled_channels() -> None:
    """Channels are multiples of eight and lose at most a tenth by rounding."""
    assert [scale_channels(channels) for channels in (1.6, 8, 11, 12, 16.5, 24 * 1.4)] == [8, 8, 16, 16, 16, 32]


def test_channels_of_the_narrowest_network() -> None:
    """At a tenth of the width channels are multiples of four, as in the authors' code, and at no other."""
    assert [scale_mobile_channels(channels, 0.1) for channels in (16, 32, 64, 96, 320)] == [4, 4, 8, 12, 32]
    assert [scale_mobile_channels(channels, 0.2) for channels in (16, 32, 64, 96, 320)] == [8, 8, 16, 24, 64]


def test_first_weights_of_depthwise_convolutions() -> None:
    """A depthwise convolution's first weights are as large as its nine inputs allow, not as if it had all channels'."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(512, 512, 3, groups=512, bias=False)
    initialise(convolution)

    assert 0.45 < convolution.weight.std().item() < 0.49  # sqrt(2 / 9) = 0.471
