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
# How far AdamW moves a weight in a step, in learning rates, as the root of the mean square (Liu et al., 2025).
_ADAMW_LENGTH = 0.2


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
            alike: dict[torch.Size, dict[Tensor, Tensor]] = defaultdict(dict)  # by shape, each with its momentum
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape][matrix] = self._momentum(matrix, matrix.grad)
            for shape, momenta in alike.items():
                distance = group["lr"] * _ADAMW_LENGTH * max(shape) ** 0.5
                for matrix, direction in zip(momenta, orthogonalised(torch.stack([*momenta.values()])), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(direction, alpha=-distance)

    def _momentum(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        """Return the mean of the gradients, newer ones counting more, as Nesterov takes it: ahead by one step."""
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(mean, _MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return matrices, [N, rows, columns], with their singular values made about 1, but for very small ones; bfloat16.

    The iterations are Newton's and Schulz's; bfloat16 is enough for a direction.
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
