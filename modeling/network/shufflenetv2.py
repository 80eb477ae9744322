"""ShuffleNetV2 with attention: Ma, Zhang, Zheng and Sun, ECCV 2018.

Attention stands at the end of a unit's branch, behind all that the branch computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modeling.attention import ATTENTION
from modeling.channel_shuffle import shuffle_channels
from modeling.network.layers import conv_bn, conv_bn_relu, initialise

if TYPE_CHECKING:
    from collections.abc import Callable

# Table 5: channels of the three stages and of the last convolution.
CHANNELS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
REPEATS = (4, 8, 4)
STEM_CHANNELS = 24
_CHANNEL_STEP = 4  # of widths between those: halves of halves are whole


class ShuffleUnit(nn.Module):
    """Half of the channels pass, half go through a branch; then all are shuffled (figure 3c, and 3d where it strides).

    Args:
        inputs: Channels in.
        outputs: Channels out: as many, or, with a stride of 2, any even number.
        stride: Of the depthwise convolutions.
        attention: Makes the attention from the number of channels of the branch.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        half = outputs // 2
        self.splits = stride == 1
        taken = half if self.splits else inputs
        filtered = conv_bn(taken, taken, 3, stride, groups=taken)
        self.shortcut = nn.Sequential() if self.splits else nn.Sequential(*filtered, *conv_bn_relu(taken, half, 1))
        depthwise = conv_bn(half, half, 3, stride, groups=half)
        self.branch = nn.Sequential(
            *conv_bn_relu(taken, half, 1), *depthwise, *conv_bn_relu(half, half, 1), attention(half)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        kept, taken = x.chunk(2, dim=1) if self.splits else (x, x)
        both = torch.cat([self.shortcut(kept), self.branch(taken)], dim=1)  # [N, outputs, H / stride, W / stride]
        return shuffle_channels(both.permute(0, 2, 3, 1), 2).permute(0, 3, 1, 2)


def stage_channels(width: float) -> tuple[int, ...]:
    """Return the channels of the stages and of the last convolution: the paper's, or those of 1.0 scaled."""
    if width in CHANNELS:
        return CHANNELS[width]
    *stages, head = CHANNELS[1.0]
    scaled = [max(_CHANNEL_STEP, round(channels * width / _CHANNEL_STEP) * _CHANNEL_STEP) for channels in stages]
    return (*scaled, round(head * max(1.0, width)))


class ShuffleNetV2(nn.Module):
    """An image classifier: normalised RGB [N, 3, H, W] to logits [N, classes].

    Args:
        classes: Number of classes.
        width: Multiplies the channels of the stages (those of the last convolution only upwards).
        attention: A name in `ATTENTION`.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, attention: str = "ca") -> None:
        super().__init__()
        *stages, head = stage_channels(width)
        channels = STEM_CHANNELS
        stem = [*conv_bn(3, channels, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)]
        units: list[nn.Module] = []
        for outputs, repeats in zip(stages, REPEATS, strict=True):
            for repeat in range(repeats):
                units.append(ShuffleUnit(channels, outputs, 2 if repeat == 0 else 1, ATTENTION[attention]))
                channels = outputs
        self.features = nn.Sequential(nn.Sequential(*stem), *units)
        self.conv = nn.Sequential(*conv_bn_relu(channels, head, 1))
        self.classifier = nn.Sequential(nn.Linear(head, classes))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB [N, 3, H, W] to logits [N, classes]."""
        x = self.conv(self.features(x))  # [N, 1024, H / 32, W / 32]
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))  # [N, classes]
        return logits
