"""Shuffle Attention, the block of SA-Net: Zhang and Yang, ICASSP 2021."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from modeling.channel_shuffle import shuffle_channels


class ShuffleAttention(nn.Module):
    """In groups, attend to the channels of one half and to the positions of the other, and shuffle (section 3).

    Takes and returns [N, C, H, W] of any H and W. All groups share their parameters. The layers compute with the
    channels innermost, as x has them in memory.

    Args:
        channels: C, an even number.
        max_groups: Number of groups, G, or as many of them as divide C / 2. The authors' code takes 64 for a ResNet;
            the narrow layers of a mobile network would be left with one channel in each half.
    """

    def __init__(self, channels: int, max_groups: int = 8) -> None:
        super().__init__()
        self.groups = math.gcd(channels // 2, max_groups)
        half = channels // (2 * self.groups)
        # At first a gate lets the same share of everything through: sigmoid(0 * x + 1).
        self.channel_weight, self.channel_bias = nn.Parameter(torch.zeros(half)), nn.Parameter(torch.ones(half))
        self.spatial_weight, self.spatial_bias = nn.Parameter(torch.zeros(half)), nn.Parameter(torch.ones(half))
        self.norm = ChannelNorm(half)

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        pixels = x.permute(0, 2, 3, 1)  # [N, H, W, C]
        halves = torch.unflatten(pixels, 3, (self.groups, 2, -1))  # [N, H, W, G, 2, C / 2G]
        channel, spatial = halves.unbind(dim=4)  # [N, H, W, G, C / 2G] each
        means = channel.mean(dim=(1, 2), keepdim=True)  # equation 1
        channel = channel * (self.channel_weight * means + self.channel_bias).sigmoid()  # equation 2
        spatial = spatial * (self.spatial_weight * self.norm(spatial) + self.spatial_bias).sigmoid()  # equation 3
        both = torch.cat([channel, spatial], dim=4).flatten(3)  # [N, H, W, C]
        return shuffle_channels(both, 2).permute(0, 3, 1, 2)  # [N, C, H, W]


class ChannelNorm(nn.Module):
    """Group normalisation with a group for each channel: mean 0 and deviation 1 over its positions, then an affine map.

    Args:
        channels: Innermost channels, each with a weight and a bias.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise [N, H, W, ..., channels] over H and W."""
        variance, mean = torch.var_mean(pixels, dim=(1, 2), correction=0, keepdim=True)
        return (pixels - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
