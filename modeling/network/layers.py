"""What the networks are built from."""

from __future__ import annotations

import math

from torch import nn

_DIVISOR, _FINE_DIVISOR = 8, 4  # of numbers of channels
_FINE_WIDTH = 0.1


def scale_channels(channels: float, divisor: int = _DIVISOR) -> int:
    """Round a number of channels to a multiple of the divisor that is at least 90 % of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def scale_mobile_channels(channels: int, width: float) -> int:
    """Scale a number of channels as both mobile networks' authors do, whose narrowest one has finer steps."""
    return scale_channels(channels * width, _FINE_DIVISOR if width == _FINE_WIDTH else _DIVISOR)


def conv_bn(inputs: int, outputs: int, kernel_size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size (but for its stride) and its batch normalisation."""
    padding = kernel_size // 2
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def conv_bn_relu(inputs: int, outputs: int, kernel_size: int) -> list[nn.Module]:
    """Return a convolution that keeps the size, its batch normalisation and a ReLU."""
    return [*conv_bn(inputs, outputs, kernel_size), nn.ReLU(inplace=True)]


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
