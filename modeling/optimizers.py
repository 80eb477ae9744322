"""What changes the weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from modeling.command import InputError
from modeling.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_MOMENTUM = 0.9
_adamw = partial(torch.optim.AdamW, foreach=True)


class MuonWithAdamW:
    """Muon for pointwise convolutions, AdamW for everything else, with one learning rate.

    A pointwise convolution is a matrix, [outputs, inputs], and nearly all weights of a mobile network are in such.

    Args:
        groups: Of parameters, each with its `weight_decay`.

    Raises:
        InputError: None of the parameters is a pointwise convolution.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        matrices = {
            each: nn.Parameter(_matrix(each)) for group in groups for each in group["params"] if _is_matrix(each)
        }
        if not matrices:
            raise InputError("--optimizer muon is for networks with pointwise convolutions")
        self._matrices = matrices
        of_matrices, of_others = [], []
        for group in groups:
            own = [matrices[each] for each in group["params"] if each in matrices]
            others = [each for each in group["params"] if each not in matrices]
            of_matrices.append({**group, "params": own})
            of_others.append({**group, "params": others})
        self._optimizers = [Muon(of_matrices), _adamw(of_others)]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The settings of each group, which may be changed before each step."""
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for kernel in self._matrices:
            kernel.grad = None
        for optimizer in self._optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Change the weights."""
        for kernel, matrix in self._matrices.items():
            matrix.data = _matrix(kernel)  # the kernel's own memory, which may have become another
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        for optimizer in self._optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return all that it needs to go on."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self._optimizers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for optimizer, own in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer | MuonWithAdamW]] = {
    "adamw": _adamw,
    "muon": MuonWithAdamW,
    "sgd": partial(torch.optim.SGD, momentum=_MOMENTUM, nesterov=True, foreach=True),
}


def make_optimizer(name: str, network: nn.Module, weight_decay: float) -> torch.optim.Optimizer | MuonWithAdamW:
    """Return an optimizer of a network's parameters.

    Args:
        name: One of `OPTIMIZERS`.
        network: Has the parameters.
        weight_decay: Of what is multiplied with activations, not of biases or batch normalisation.
    """
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return OPTIMIZERS[name](groups)


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Whether it is the kernel of a pointwise convolution."""
    return parameter.ndim == 4 and parameter.shape[1] > 1 and parameter.shape[2:] == (1, 1)  # noqa: PLR2004 - NCHW


def _matrix(kernel: nn.Parameter) -> Tensor:
    """Return a kernel, [outputs, inputs, 1, 1], as a matrix in the same memory."""
    return kernel.detach().view(kernel.shape[:2])
