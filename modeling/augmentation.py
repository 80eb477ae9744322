"""From stored crops to a training batch: mirrored, zoomed and moved, a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ZOOM = (0.8, 1.1)  # the side of the part that is seen, as a share of the crop's; above 1 the edges are mirrored
SHIFT = 0.12  # how far the centre moves at most, as a share of half the side


def augment(pixels: Tensor, size: int) -> Tensor:
    """Draw a random view of every image from torch's global generator.

    Args:
        pixels: uint8 [N, H, W, 3].
        size: Height and width of the result, in pixels.

    Returns:
        float32 [N, 3, size, size], 0 to 255, channels_last.
    """
    count = len(pixels)
    zoom = torch.empty(count).uniform_(*ZOOM)
    mirror = torch.randint(0, 2, (count,)) * 2 - 1
    shift = torch.empty(count, 2).uniform_(-SHIFT, SHIFT)
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0] = zoom * mirror
    transform[:, 1, 1] = zoom
    transform[:, :, 2] = shift
    grid = functional.affine_grid(transform, [count, 3, size, size], align_corners=False)
    images = pixels.permute(0, 3, 1, 2).float().contiguous()
    views = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return views.contiguous(memory_format=torch.channels_last)
