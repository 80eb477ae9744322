"""MobileNetV2 with Coordinate Attention, written to be read next to the two papers.

MobileNetV2: Sandler et al., CVPR 2018. Coordinate Attention: Hou, Zhou and Feng, CVPR 2021. The modules are named as
in the checkpoint that the second paper's authors published, so their weights load by name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        # Means over an axis, where others use adaptive pooling: those trace and export for any size. They are ten times
        # faster where the result keeps the channels innermost, as x has them in memory.
        pixels = x.permute(0, 2, 3, 1)  # [N, H, W, C]
        rows = pixels.mean(dim=2)  # [N, H, C], equation 4
        columns = pixels.mean(dim=1)  # [N, W, C], equation 5
        both = torch.cat([rows, columns], dim=1)  # [N, H + W, C]
        both = both.transpose(1, 2).unsqueeze(3)  # [N, C, H + W, 1]
        both = self.act(self.bn1(self.conv1(both)))  # [N, C / reduction, H + W, 1], equation 6
        rows, columns = torch.split(both, [height, width], dim=2)
        row_gate = self.conv2(rows).sigmoid()  # [N, C, H, 1], equation 7
        column_gate = self.conv3(columns.transpose(2, 3)).sigmoid()  # [N, C, 1, W], equation 8
        gated: Tensor = x * column_gate * row_gate  # [N, C, H, W], equation 9
        return gated


def no_attention(channels: int) -> nn.Module:  # noqa: ARG001 - all members of the family are made from the channels
    """Return the plain MobileNetV2's place holder, which keeps the names of the layers around it."""
    return nn.Identity()


# The family: what may stand after the depthwise convolution. A new member is a class above and a line here.
ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "none": no_attention,
    "ca": CoordinateAttention,
}


def scale_channels(channels: float, divisor: int = 8) -> int:
    """Round a number of channels to a multiple of the divisor that is at least 90 % of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv_bn(inputs: int, outputs: int, kernel_size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size (but for its stride) and its batch normalisation."""
    padding = kernel_size // 2
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


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
        channels = scale_channels(STEM_CHANNELS * width)
        layers: list[nn.Module] = [nn.Sequential(*conv_bn(3, channels, 3, stride=2), nn.ReLU6(inplace=True))]
        for expansion, base_channels, repeats, first_stride in BLOCKS:
            outputs = scale_channels(base_channels * width)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expansion, ATTENTION[attention]))
                channels = outputs
        head = scale_channels(HEAD_CHANNELS * max(1.0, width))
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


def initialise(module: nn.Module) -> None:
    """Draw a layer's first weights: He's for convolutions (fan out), small ones for the classifier."""
    if isinstance(module, nn.Conv2d):
        # PyTorch's own count of the fan forgets the groups, which makes depthwise weights tiny.
        fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
