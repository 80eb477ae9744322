"""Squeeze-and-Excitation: Hu, Shen and Sun, CVPR 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what all channels are on average (section 3).

    Takes and returns [N, C, H, W] of any H and W.

    Args:
        channels: C.
        reduction: C shrinks by this factor in between; 24 is what Coordinate Attention's paper compares itself with.
    """

    def __init__(self, channels: int, reduction: int = 24) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, reduced, kernel_size=1)
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(reduced, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        squeezed = x.mean(dim=(2, 3), keepdim=True)  # [N, C, 1, 1], equation 2
        gate = self.expand(self.act(self.reduce(squeezed))).sigmoid()  # [N, C, 1, 1], equation 3
        gated: Tensor = x * gate  # equation 4
        return gated
