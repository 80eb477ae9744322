"""Muon (Jordan et al., 2024), for many matrices: those of the same shape take each step together.

A mobile network has near a hundred small matrices. PyTorch's Muon takes them one by one, in some thousand operations on
a GPU, which last longer there than the network's own step.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MOMENTUM = 0.95
_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.775, 2.0315)  # Jordan's: steep at zero, so that few iterations are enough
_LEAST_NORM = 1e-7
_ADAMW_LENGTH = (
    0.2  # how far AdamW moves a weight in a step, the root of the mean square, in learning rates (Liu, 2025)
)


class Muon(torch.optim.Optimizer):
    """Moves matrices along their momentum, equally far in all its directions, and about as far as AdamW would.

    Args:
        groups: Of matrices, each with its `weight_decay`; their `lr` is set before each step.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # there is no closure to evaluate
        """Change the matrices that have a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                directions = orthogonalised(torch.stack([self._momentum(each) for each in matrices]))
                distance = group["lr"] * _ADAMW_LENGTH * max(shape) ** 0.5
                for matrix, direction in zip(matrices, directions, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(direction, alpha=-distance)

    def _momentum(self, matrix: Tensor) -> Tensor:
        """Return the mean of the gradients, newer ones counting more, as Nesterov takes it: ahead by one step."""
        gradient = matrix.grad
        assert gradient is not None  # noqa: S101 - for mypy: those without are left out
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(mean, _MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Make all singular values of each matrix, [N, rows, columns], about 1: from 0.7 to 1.2 after a few iterations.

    They are Newton's and Schulz's, in bfloat16, which is enough for a direction.
    """
    wide = matrices.bfloat16()
    tall = matrices.shape[1] > matrices.shape[2]
    if tall:
        wide = wide.mT
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=_LEAST_NORM)
    first, third, fifth = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = wide @ wide.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        wide = torch.baddbmm(wide, polynomial, wide, beta=first)
    return wide.mT if tall else wide
