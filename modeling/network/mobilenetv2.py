"""MobileNetV2 with attention, written to be read next to the two papers.

MobileNetV2: Sandler et al., CVPR 2018. Coordinate Attention: Hou, Zhou and Feng, CVPR 2021. The modules are named as
in the checkpoint that the second paper's authors published, so their weights load by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from modeling.attention import ATTENTION
from modeling.network.layers import conv_bn, initialise, scale_mobile_channels

if TYPE_CHECKING:
    from collections.abc import Callable

# MobileNetV2, table 2. t: expansion, c: output channels, n: repeats, s: stride of the first repeat.
BLOCKS = (
    # t, c, n, s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
DROPOUT = 0.1


class InvertedResidual(nn.Module):
    """Expand, filter each channel, attend, project: MobileNetV2's block (figure 3) and what the second paper adds.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the depthwise convolution.
        expansion: How many times wider the block is inside; a block that does not expand does not attend either.
        attention: Makes the attention from the number of channels inside.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, expansion: int, attention: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [*conv_bn(inputs, hidden, 1), nn.ReLU6(inplace=True)]
        depthwise = [*conv_bn(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6(inplace=True)]
        project = conv_bn(hidden, outputs, 1)
        layers = [*depthwise, *project] if expansion == 1 else [*expand, *depthwise, attention(hidden), *project]
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        filtered: Tensor = self.conv(x)
        return x + filtered if self.adds_input else filtered


class MobileNetV2(nn.Module):
    """An image classifier: normalised RGB [N, 3, H, W] to logits [N, classes].

    Args:
        classes: Number of classes.
        width: Multiplies the channels of every layer (the head's only upwards).
        attention: A name in `ATTENTION`.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, attention: str = "ca") -> None:
        super().__init__()
        channels = scale_mobile_channels(STEM_CHANNELS, width)
        layers: list[nn.Module] = [nn.Sequential(*conv_bn(3, channels, 3, stride=2), nn.ReLU6(inplace=True))]
        for expansion, base_channels, repeats, first_stride in BLOCKS:
            outputs = scale_mobile_channels(base_channels, width)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expansion, ATTENTION[attention]))
                channels = outputs
        head = scale_mobile_channels(HEAD_CHANNELS, max(1.0, width))
        self.features = nn.Sequential(*layers)
        self.conv = nn.Sequential(*conv_bn(channels, head, 1), nn.ReLU6(inplace=True))
        self.classifier = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(head, classes))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB [N, 3, H, W] to logits [N, classes]."""
        x = self.features(x)  # [N, 320, H / 32, W / 32]
        x = self.conv(x)  # [N, 1280, H / 32, W / 32]
        x = x.mean(dim=(2, 3))  # [N, 1280]
        logits: Tensor = self.classifier(x)  # [N, classes]
        return logits
