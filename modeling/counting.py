"""How big a network is, and how much it computes, as papers on mobile networks count it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def count_parameters(network: nn.Module) -> int:
    """Count the numbers of all parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: nn.Module, size: int) -> int:
    """Count the multiply-adds (M-Adds) of all convolutions and matrix products for one image.

    What is done element by element (normalisation, activations, gates, means) is not counted, as in the papers.

    Args:
        network: Takes [N, 3, size, size]; only its shapes matter, and nothing is computed.
        size: Height and width of the image, in pixels.
    """
    counts: list[int] = []

    def count(module: nn.Conv2d | nn.Linear, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        products = module.weight[0].numel()  # that make up one number of the output
        counts.append(products * output.numel())

    shapes = copy.deepcopy(network).to("meta").eval()
    for module in shapes.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    shapes(torch.empty(1, 3, size, size, device="meta"))
    return sum(counts)
