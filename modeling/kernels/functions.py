"""The kernels with their gradients. Activations are [N, C, H, W] with the channels innermost, float32 or bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from modeling.kernels.library import kernels

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import BatchNorm2d

# mypy: disable-error-code="no-untyped-call"
# ... as PyTorch leaves `Function` and its context without annotations.


class _Normalise(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: BatchNorm2d, clamps: bool) -> Tensor:  # noqa: FBT001 - as PyTorch hands them on
        y, mean, inverse = kernels().normalise(
            x, weight, bias, layer.running_mean, layer.running_var, layer.momentum, layer.eps, clamps
        )
        context.save_for_backward(x, mean, inverse, weight, bias)
        context.clamps = clamps
        return y  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradients = kernels().normalise_backward(gradient, *context.saved_tensors, context.clamps)
        return (*gradients, None, None)


class _Pool(Function):
    @staticmethod
    def forward(_context: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = kernels().pool(x)
        return rows, columns

    @staticmethod
    @once_differentiable
    def backward(_context: Any, rows: Tensor, columns: Tensor) -> Tensor:
        return kernels().pool_backward(rows, columns)  # type: ignore[no-any-return]


class _Gate(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        context.save_for_backward(x, rows, columns)
        return kernels().gate(x, rows, columns)  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(kernels().gate_backward(gradient, *context.saved_tensors))


class _StridedDepthwise(Function):
    """oneDNN's gradient of a strided depthwise convolution is a hundred times slower than one without a stride."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        weight = weight.to(x.dtype)
        context.save_for_backward(x, weight)
        return functional.conv2d(x, weight, stride=2, padding=1, groups=x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = context.saved_tensors
        gradient = gradient.to(x.dtype)  # autocast computes in bfloat16 what is float32
        spread = torch.zeros_like(x)
        spread[:, :, ::2, ::2] = gradient
        of_x = functional.conv2d(spread, weight.flip((2, 3)), padding=1, groups=x.shape[1])
        _, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [2, 2], [1, 1], [1, 1], False, [0, 0], x.shape[1], [False, True, False]
        )
        return of_x, of_weight.float()


def normalise(x: Tensor, layer: BatchNorm2d, *, clamps: bool) -> Tensor:
    """Normalise a batch, and clamp the result to [0, 6] where asked to; the layer's running statistics follow."""
    y: Tensor = _Normalise.apply(x, layer.weight, layer.bias, layer, clamps)
    return y


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means along the width, [N, C, H, 1], and along the height, [N, C, 1, W]."""
    rows, columns = _Pool.apply(x)
    return rows, columns


def gate(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Multiply with a gate for each row, [N, C, H, 1], and each column, [N, C, 1, W]."""
    y: Tensor = _Gate.apply(x, rows, columns)
    return y


def strided_depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve each channel with its 3x3 kernel, weight [C, 1, 3, 3], with a stride of 2 and a border of 1."""
    y: Tensor = _StridedDepthwise.apply(x, weight)
    return y
