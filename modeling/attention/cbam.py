"""Convolutional Block Attention Module: Woo, Park, Lee and Kweon, ECCV 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Weigh each channel by the mean and the largest of all channels' activations (section 3, equation 2).

    Args:
        channels: C.
        reduction: C shrinks by this factor in between.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        layers = [nn.Conv2d(channels, reduced, kernel_size=1), nn.ReLU(inplace=True)]
        self.mlp = nn.Sequential(*layers, nn.Conv2d(reduced, channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        mean, largest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)  # [N, C, 1, 1]
        gated: Tensor = x * (self.mlp(mean) + self.mlp(largest)).sigmoid()
        return gated


class SpatialAttention(nn.Module):
    """Weigh each position by the mean and the largest of its channels in a 7x7 neighbourhood (equation 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1)  # not in the equation, but in the authors' code

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        both = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)  # [N, 2, H, W]
        gated: Tensor = x * self.bn(self.conv(both)).sigmoid()
        return gated


class CBAM(nn.Sequential):
    """Attend to channels, then to positions (equation 1).

    Takes and returns [N, C, H, W] of any H and W.

    Args:
        channels: C.
        reduction: C shrinks by this factor where channels are attended to; 24 as in Coordinate Attention's comparison.
    """

    def __init__(self, channels: int, reduction: int = 24) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()
