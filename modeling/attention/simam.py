"""SimAM, attention without parameters: Yang, Zhang, Li and Xie, ICML 2021."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SimAM(nn.Module):
    """Weigh each activation by how far it stands out of its channel: the less energy, the more weight (section 3.2).

    Takes and returns [N, C, H, W] of any H and W.

    Args:
        channels: C, on which nothing depends.
        regularisation: Lambda of equation 5, which keeps flat channels from being divided by zero.
    """

    def __init__(self, channels: int, regularisation: float = 1e-4) -> None:  # noqa: ARG002 - as the family is made
        super().__init__()
        self.regularisation = regularisation

    def forward(self, x: Tensor) -> Tensor:
        """Gate an activation of [N, C, H, W]."""
        height, width = x.shape[2:]
        others = height * width - 1  # as in the paper's listing (figure 3); its equations divide by all of them
        squares = (x - x.mean(dim=(2, 3), keepdim=True)).pow(2)  # [N, C, H, W]
        # A lone activation has no others, but no deviation either: any divisor will do.
        variance = squares.sum(dim=(2, 3), keepdim=True) / (others + (others == 0))  # [N, C, 1, 1]
        inverse_energy = squares / (4 * (variance + self.regularisation)) + 0.5  # the inverse of equation 5
        return x * inverse_energy.sigmoid()  # equation 6
