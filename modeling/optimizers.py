"""What changes the weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

_MOMENTUM = 0.9
OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, foreach=True),
    "sgd": partial(torch.optim.SGD, momentum=_MOMENTUM, nesterov=True, foreach=True),
}


def make_optimizer(name: str, network: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
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
