"""MobileNeXt with attention: Zhou, Hou, Chen, Feng and Yan, "Rethinking Bottleneck Structure", ECCV 2020.

The layers are those of its authors' published code, whose counts they give as 3.5 M parameters and 300 M M-Adds.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from modeling.attention import ATTENTION
from modeling.attention.coordinate import CoordinateAttention
from modeling.network.layers import conv_bn, initialise, scale_channels, scale_mobile_channels

if TYPE_CHECKING:
    from collections.abc import Callable

# Table 2. t: reduction, c: output channels, b: repeats, s: stride of the first repeat.
BLOCKS = (
    # t, c, b, s
    (2, 96, 1, 2),
    (6, 144, 1, 1),
    (6, 192, 3, 2),
    (6, 288, 3, 2),
    (6, 384, 4, 1),
    (6, 576, 4, 2),
    (6, 960, 3, 1),
    (6, 1280, 1, 1),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280  # the last block's, which grow with the width and do not shrink
DROPOUT = 0.2
_MOST_REDUCTION = 6  # of the wider end of a block
_HIDDEN_DIVISOR = 16

# Coordinate Attention adds half as much again to its paper's MobileNeXt (3.5 to 4.09 M parameters) as SE with its
# reduction by 24 does (to 3.89 M). Three matrices of the same reduction do that, in place of SE's two.
_ATTENTION: dict[str, Callable[[int], nn.Module]] = {**ATTENTION, "ca": partial(CoordinateAttention, reduction=24)}


class Sandglass(nn.Module):
    """Filter each channel, attend, reduce, expand, filter again: shortcuts join the wide ends (section 3.2, figure 3).

    A block that changes the channels leaves out the first filter, and so the attention, and the second one, too, where
    it has no stride. A block that is alone in its stage leaves out nothing.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the second depthwise convolution.
        reduction: How many times narrower the block is inside, at most `outputs / 6`.
        whole: Nothing is left out, and no shortcut is taken.
        attention: Makes the attention from the number of channels in.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        reduction: int,
        *,
        whole: bool,
        attention: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.adds_input = inputs == outputs and stride == 1 and not whole
        hidden = hidden_channels(inputs, outputs, reduction)
        first = [*conv_bn(inputs, inputs, 3, groups=inputs), nn.ReLU6(inplace=True), attention(inputs)]
        narrow = [*conv_bn(inputs, hidden, 1), *conv_bn(hidden, outputs, 1), nn.ReLU6(inplace=True)]
        second = conv_bn(outputs, outputs, 3, stride, groups=outputs)
        has_first = whole or self.adds_input
        has_second = has_first or stride > 1
        self.conv = nn.Sequential(*(first if has_first else []), *narrow, *(second if has_second else []))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        filtered: Tensor = self.conv(x)
        return x + filtered if self.adds_input else filtered


def hidden_channels(inputs: int, outputs: int, reduction: int) -> int:
    """Return how wide a block is inside."""
    hidden = inputs // reduction
    if hidden >= outputs / _MOST_REDUCTION:
        return hidden
    return scale_channels(math.ceil(outputs / _MOST_REDUCTION), _HIDDEN_DIVISOR)


class MobileNeXt(nn.Module):
    """An image classifier: normalised RGB [N, 3, H, W] to logits [N, classes].

    Args:
        classes: Number of classes.
        width: Multiplies the channels of every layer (the last block's only upwards).
        attention: A name in `ATTENTION`.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, attention: str = "ca") -> None:
        super().__init__()
        channels = scale_mobile_channels(STEM_CHANNELS, width)
        layers: list[nn.Module] = [nn.Sequential(*conv_bn(3, channels, 3, stride=2), nn.ReLU6(inplace=True))]
        for reduction, base_channels, repeats, first_stride in BLOCKS:
            outputs = scale_mobile_channels(base_channels, max(1.0, width) if base_channels == HEAD_CHANNELS else width)
            for repeat in range(repeats):
                stride, whole = (first_stride if repeat == 0 else 1), repeats == 1
                layers.append(
                    Sandglass(channels, outputs, stride, reduction, whole=whole, attention=_ATTENTION[attention])
                )
                channels = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(channels, classes))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB [N, 3, H, W] to logits [N, classes]."""
        x = self.features(x)  # [N, 1280, H / 32, W / 32]
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))  # [N, classes]
        return logits
