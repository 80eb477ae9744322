"""From stored crops to a training batch: the differences between pictures of the same thing, a whole batch at once.

Strong changes of sharpness and light are rare: a network that sees little else learns the images more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Variety:
    """How much the views of a picture differ."""

    zoom: tuple[float, float]  # the side of the part that is seen, as a share of the crop's; above 1 edges are mirrored
    stretch: float  # how much wider than high, or higher than wide, things become at most
    shift: float  # how far the centre moves at most, as a share of half the side
    sharpness: tuple[float, float]  # below 0 towards the mean of each pixel's surroundings, above 0 away from it
    light: float  # by what share brightness, contrast and saturation change at most
    # Share of the views that are only mirrored and moved, by whole pixels: an image of the view's size stays as sharp.
    sharp_share: float = 0


_FULL = Variety(zoom=(0.7, 1.2), stretch=1.15, shift=0.25, sharpness=(-0.7, 0.5), light=0.25)
VARIETIES = {
    "full": _FULL,
    # To end a training with: nearly what callers send.
    "slight": Variety(zoom=(0.9, 1.1), stretch=1.05, shift=0.25, sharpness=(-0.2, 0.2), light=0.1),
    # For images of few pixels, which any other view blurs.
    "sharp": replace(_FULL, sharp_share=0.8),
}
BLURRED_SIZE = 32  # a pixel's surroundings are a square so large that this many are a view's side


def augment(pixels: Tensor, size: int, variety: Variety) -> Tensor:
    """Draw a random view of every image from the global generator of the device that has the images.

    Args:
        pixels: uint8 [N, H, W, 3], on any device.
        size: Height and width of the result, in pixels.
        variety: How much the views differ.

    Returns:
        float32 [N, 3, size, size], 0 to 255, channels_last.
    """
    # Where no view is to be sharp nothing is drawn: runs of such varieties go on as they began.
    sharp = torch.rand(len(pixels), device=pixels.device) < variety.sharp_share if variety.sharp_share else None
    framed = _frame(pixels.permute(0, 3, 1, 2).float().contiguous(), size, variety, sharp)
    views = _relight(_sharpen(framed, variety.sharpness), variety.light).clamp(0, 255)
    views = views if sharp is None else torch.where(sharp.view(-1, 1, 1, 1), framed, views)
    return views.contiguous(memory_format=torch.channels_last)


def mix(views: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Show a square of the image before in some of the images, so that no single part decides.

    Before the first image comes the last. It is CutMix (Yun et al., 2019), drawn for each image and not for the batch.

    Args:
        views: [N, 3, size, size].
        share: The share of the images that are mixed.

    Returns:
        The images, of the same shape and memory format, and how much of each is still its own, float32 [N], 0 to 1.
    """
    count, size = len(views), views.shape[-1]
    draw = partial(torch.rand, count, 1, 1, 1, device=views.device)
    half = draw().sqrt() / 2 * (draw() < share)
    position = (torch.arange(size, device=views.device) + 0.5) / size
    rows = (position.view(1, 1, -1, 1) - draw()).abs() < half
    columns = (position.view(1, 1, 1, -1) - draw()).abs() < half
    covered = rows & columns
    return torch.where(covered, views.roll(1, 0), views), 1 - covered.float().mean(dim=(1, 2, 3))


def _frame(images: Tensor, size: int, variety: Variety, sharp: Tensor | None) -> Tensor:
    """Mirror, zoom, stretch and move, or for sharp views only mirror and move: [N, 3, H, W] to [N, 3, size, size]."""
    count, device = len(images), images.device
    zoom = torch.empty(count, device=device).uniform_(*variety.zoom)
    stretch = variety.stretch ** torch.empty(count, device=device).uniform_(-0.5, 0.5)
    mirror = torch.randint(0, 2, (count,), device=device) * 2 - 1
    shift = torch.empty(count, 2, device=device).uniform_(-variety.shift, variety.shift)
    if sharp is not None:
        zoom, stretch = (torch.where(sharp, 1, each) for each in (zoom, stretch))
        shift = torch.where(sharp.unsqueeze(1), (shift * size / 2).round() * 2 / size, shift)
    transform = torch.zeros(count, 2, 3, device=device)
    transform[:, 0, 0] = zoom * stretch * mirror
    transform[:, 1, 1] = zoom / stretch
    transform[:, :, 2] = shift
    grid = functional.affine_grid(transform, [count, 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _sharpen(views: Tensor, sharpness: tuple[float, float]) -> Tensor:
    """Blur, as by motion or poor focus, or sharpen, as cameras do."""
    size = views.shape[-1]
    coarse = functional.avg_pool2d(views, max(2, round(size / BLURRED_SIZE)), ceil_mode=True)
    surroundings = functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return views + (views - surroundings) * _mostly(0, *sharpness, (len(views), 1, 1, 1), views.device)


def _relight(views: Tensor, light: float) -> Tensor:
    """Change saturation, contrast and brightness."""
    grey = views.mean(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    shape = (3, len(views), 1, 1, 1)
    saturation, contrast, brightness = _mostly(1, 1 - light, 1 + light, shape, views.device).unbind()
    views = grey + (views - grey) * saturation
    return (mean + (views - mean) * contrast) * brightness


def _mostly(neutral: float, low: float, high: float, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw numbers between two limits, more often the nearer they are to the neutral one."""
    drawn = torch.empty(shape, device=device).uniform_(low, high)
    return neutral + (drawn - neutral) * torch.rand(shape, device=device)
