"""The simplified Coordinate Attention that circulates in tutorials, to measure what its shortcuts change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modeling.attention.coordinate import row_and_column_means


class SharedCoordinateAttention(nn.Module):
    """Coordinate Attention with one gate convolution for both directions, ReLU for h-swish and no batch normalisation.

    Takes and returns [N, C, H, W] of any H and W; `coordinate.CoordinateAttention` is the paper's.

    Args:
        channels: C.
        reduction: C shrinks by this factor in between.
        min_channels: ... but never below this number.
    """

    def __init__(self, channels: int, reduction: int = 32, min_channels: int = 8) -> None:
        super().__init__()
        reduced = max(min_channels, channels // reduction)
        self.reduce = nn.Conv2d(channels, reduced, kernel_size=1)
        self.act = nn.ReLU(inplace=True)
        self.gate = nn.Conv2d(reduced, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        height, width = x.shape[2:]
        both = self.gate(self.act(self.reduce(row_and_column_means(x)))).sigmoid()  # [N, C, H + W, 1]
        row_gate, columns = torch.split(both, [height, width], dim=2)
        gated: Tensor = x * columns.transpose(2, 3) * row_gate
        return gated
