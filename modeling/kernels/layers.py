"""The layers that use the kernels: the very same weights under the same names, for training."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from modeling.attention.coordinate import CoordinateAttention
from modeling.kernels import functions
from modeling.kernels.library import kernels

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_OUTPUTS = 3  # along each side, or oneDNN's gradient of a depthwise kernel is a hundred times slower


def quicken(network: nn.Module) -> nn.Module:
    """Make a network's layers use the kernels, in place, for training with the channels innermost; return it.

    Raises:
        InputError: The kernels cannot be compiled.
    """
    kernels()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _join_activations(module)
    for module in network.modules():
        if _is_usual(module):
            module.__class__ = _BatchNorm
        elif type(module) is CoordinateAttention:
            module.__class__ = _CoordinateAttention
        elif type(module) is nn.Conv2d and _is_depthwise(module):
            module.__class__ = _Depthwise
    return network


def _join_activations(layers: nn.Sequential) -> None:
    """Let each batch normalisation do the ReLU6 behind it, which becomes nothing."""
    for index, (first, second) in enumerate(pairwise(list(layers))):
        if _is_usual(first) and isinstance(second, nn.ReLU6):
            first.__class__ = _BatchNormReLU6
            layers[index + 1] = nn.Identity()


def _is_usual(layer: nn.Module) -> bool:
    """Whether it is a batch normalisation with weights and with statistics that are averaged as they run."""
    return type(layer) is nn.BatchNorm2d and layer.affine and layer.track_running_stats and layer.momentum is not None


def _is_depthwise(layer: nn.Conv2d) -> bool:
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size == (3, 3)
        and layer.padding == layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and layer.stride in {(1, 1), (2, 2)}
        and layer.bias is None
    )


class _BatchNorm(nn.BatchNorm2d):
    clamps = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            y = super().forward(x)
            return functional.relu6(y) if self.clamps else y
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return functions.normalise(x, self, clamps=self.clamps)


class _BatchNormReLU6(_BatchNorm):
    clamps = True


class _Depthwise(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        stride = self.stride[0]
        outputs = [(side - 1) // stride + 1 for side in x.shape[2:]]
        if min(outputs) < _LEAST_OUTPUTS:
            height, width = (max(0, _LEAST_OUTPUTS * stride - side) for side in x.shape[2:])
            x = functional.pad(x, (0, width, 0, height))
        y = functions.strided_depthwise(x, self.weight) if stride > 1 else super().forward(x)
        return y[:, :, : outputs[0], : outputs[1]]


class _CoordinateAttention(CoordinateAttention):
    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = functions.pool(x)
        both = torch.cat([rows, columns.transpose(2, 3)], dim=2)  # [N, C, H + W, 1]
        both = self.act(self.bn1(self.conv1(both)))
        rows, columns = torch.split(both, [height, width], dim=2)
        gates = (self.conv2(rows).sigmoid(), self.conv3(columns.transpose(2, 3)).sigmoid())
        return functions.gate(x, *(each.to(x.dtype) for each in gates))
