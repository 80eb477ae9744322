"""No attention, which the others are compared with."""

from __future__ import annotations

from torch import nn


class NoAttention(nn.Identity):
    """Return [N, C, H, W] as it is; a place holder that keeps the names of the layers around it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:  # noqa: ARG002 - all members of the family are made from the channels
        super().__init__()
