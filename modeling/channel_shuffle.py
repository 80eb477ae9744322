"""Channel shuffle: let groups of channels exchange what they know (Zhang et al., ShuffleNet, CVPR 2018, figure 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def shuffle_channels(pixels: Tensor, groups: int) -> Tensor:
    """Deal the groups' channels out in turn: the first of each group, then the second of each, and so on.

    Args:
        pixels: [N, H, W, C], the channels innermost, where this is a copy in one pass.
        groups: A divisor of C.

    Returns:
        [N, H, W, C].
    """
    return torch.unflatten(pixels, 3, (groups, -1)).transpose(3, 4).flatten(3)
