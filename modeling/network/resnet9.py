"""ResNet-9 with attention: the small dense network of David Page's "How to train your ResNet" (2018).

For images of few pixels: it halves them only three times. Dense convolutions learn fast on a processor that multiplies
matrices well, which makes it a teacher for the networks that are served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from modeling.attention import ATTENTION
from modeling.network.layers import conv_bn_relu, initialise, scale_channels

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = (64, 128, 256, 512)


class Residual(nn.Module):
    """Add to its input what two convolutions and the attention make of it.

    Args:
        channels: Channels in and out.
        attention: Makes the attention from the number of channels.
    """

    def __init__(self, channels: int, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *conv_bn_relu(channels, channels, 3), *conv_bn_relu(channels, channels, 3), attention(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, H, W] to the same shape."""
        added: Tensor = self.conv(x)
        return x + added


class ResNet9(nn.Module):
    """An image classifier: normalised RGB [N, 3, H, W] to logits [N, classes].

    Args:
        classes: Number of classes.
        width: Multiplies the channels of every layer.
        attention: A name in `ATTENTION`.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, attention: str = "ca") -> None:
        super().__init__()
        first, second, third, last = (scale_channels(channels * width) for channels in CHANNELS)
        self.features = nn.Sequential(
            *conv_bn_relu(3, first, 3),
            *conv_bn_relu(first, second, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            Residual(second, ATTENTION[attention]),
            *conv_bn_relu(second, third, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *conv_bn_relu(third, last, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            Residual(last, ATTENTION[attention]),
        )
        self.classifier = nn.Sequential(nn.Linear(last, classes))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB [N, 3, H, W] to logits [N, classes]."""
        x = self.features(x)  # [N, 512, H / 8, W / 8]
        logits: Tensor = self.classifier(x.amax(dim=(2, 3)))  # [N, classes]
        return logits
