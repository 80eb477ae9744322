"""Bottleneck Attention Module: Park, Woo, Lee and Kweon, BMVC 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class BAM(nn.Module):
    """Add to an activation what one gate over channels and positions lets through (section 3, equations 1 to 4).

    Takes and returns [N, C, H, W] of any H and W. The paper puts it between the stages of a network; here it stands
    where the others of the family do. Normalised is what the equations normalise, and, as in the authors' code, each
    dilated convolution.

    Args:
        channels: C.
        reduction: C shrinks by this factor in both branches.
        dilation: How far apart the 3x3 convolutions look.
    """

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, reduced, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(reduced, channels, kernel_size=1),
            nn.BatchNorm2d(channels),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, reduced, kernel_size=1),
            *dilated_conv(reduced, dilation),
            *dilated_conv(reduced, dilation),
            nn.Conv2d(reduced, 1, kernel_size=1),
            nn.BatchNorm2d(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        channels = self.channel(x.mean(dim=(2, 3), keepdim=True))  # [N, C, 1, 1], equation 3
        positions = self.spatial(x)  # [N, 1, H, W], equation 4
        gated: Tensor = x + x * (channels + positions).sigmoid()  # [N, C, H, W], equations 2 and 1
        return gated


def dilated_conv(channels: int, dilation: int) -> list[nn.Module]:
    """Return a dilated 3x3 convolution that keeps size and channels, with what the authors' code puts behind it."""
    convolution = nn.Conv2d(channels, channels, kernel_size=3, padding=dilation, dilation=dilation)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
