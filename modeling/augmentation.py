"""From stored crops to a training batch: the differences between pictures of the same thing, a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ZOOM = (0.7, 1.2)  # the side of the part that is seen, as a share of the crop's; above 1 the edges are mirrored
STRETCH = 1.15  # how much wider than high, or higher than wide, things become at most
SHIFT = 0.15  # how far the centre moves at most, as a share of half the side
SHARPNESS = (-0.7, 0.5)  # below 0 towards the mean of each pixel's surroundings, above 0 away from it
BLURRED_SIZE = 32  # that mean is of a square so large that this many are a view's side
LIGHT = 0.25  # by what share brightness, contrast and saturation change at most
PATCH = (0.2, 0.4)  # the side of the grey square that hides a part, as a share of the view's
PATCHED = 0.3  # share of the images that have one
_GREY = 255 / 2


def augment(pixels: Tensor, size: int) -> Tensor:
    """Draw a random view of every image from torch's global generator.

    Args:
        pixels: uint8 [N, H, W, 3].
        size: Height and width of the result, in pixels.

    Returns:
        float32 [N, 3, size, size], 0 to 255, channels_last.
    """
    views = _frame(pixels.permute(0, 3, 1, 2).float().contiguous(), size)
    views = _relight(_sharpen(views)).clamp(0, 255)
    return _hide_a_part(views).contiguous(memory_format=torch.channels_last)


def _frame(images: Tensor, size: int) -> Tensor:
    """Mirror, zoom, stretch and move: [N, 3, H, W] to [N, 3, size, size]."""
    count = len(images)
    zoom = torch.empty(count).uniform_(*ZOOM)
    stretch = STRETCH ** torch.empty(count).uniform_(-0.5, 0.5)
    mirror = torch.randint(0, 2, (count,)) * 2 - 1
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0] = zoom * stretch * mirror
    transform[:, 1, 1] = zoom / stretch
    transform[:, :, 2] = torch.empty(count, 2).uniform_(-SHIFT, SHIFT)
    grid = functional.affine_grid(transform, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _sharpen(views: Tensor) -> Tensor:
    """Blur, as by motion or poor focus, or sharpen, as cameras do."""
    size = views.shape[-1]
    coarse = functional.avg_pool2d(views, max(1, size // BLURRED_SIZE))
    surroundings = functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return views + (views - surroundings) * _per_image(views, *SHARPNESS)


def _relight(views: Tensor) -> Tensor:
    """Change saturation, contrast and brightness."""
    grey = views.mean(dim=1, keepdim=True)
    views = grey + (views - grey) * _per_image(views, 1 - LIGHT, 1 + LIGHT)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    return (mean + (views - mean) * _per_image(views, 1 - LIGHT, 1 + LIGHT)) * _per_image(views, 1 - LIGHT, 1 + LIGHT)


def _hide_a_part(views: Tensor) -> Tensor:
    """Cover a square of some images, so that no single part decides (DeVries and Taylor, 2017: cutout)."""
    position = (torch.arange(views.shape[-1]) + 0.5) / views.shape[-1]
    near = [(position.view(shape) - _per_image(views, 0, 1)).abs() for shape in ((1, 1, -1, 1), (1, 1, 1, -1))]
    half = _per_image(views, *PATCH) / 2 * (torch.rand(len(views), 1, 1, 1) < PATCHED)
    return torch.where((near[0] < half) & (near[1] < half), _GREY, views)


def _per_image(views: Tensor, low: float, high: float) -> Tensor:
    """Draw a number for each image, [N, 1, 1, 1]."""
    return torch.empty(len(views), 1, 1, 1).uniform_(low, high)
