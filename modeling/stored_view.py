"""Views as JPEG leaves them.

What callers send was compressed after it was framed: a network that learns to see past that should be shown it so, with
the loss drawn anew for every view. What is lost, by rounding, is the same here as in an encoder (ITU-T T.81 and T.871);
the codes in between lose nothing and are left out, so that a whole batch is stored and read where the network is.
"""

from __future__ import annotations

import io
import math
from functools import cache

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

BEST_JPEG = 95  # above, an encoder keeps what nobody sees
_BLOCK = 8  # pixels a side of what is transformed at once
_UNIT = 2 * _BLOCK  # ... of which colours at half the resolution fill a block
_GREY = 128.0
# Brightness and two differences of colour from red, green and blue, and back (T.871, section 7).
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def as_jpeg(views: Tensor, quality: int) -> Tensor:
    """Store every view as JPEG, its colours at half the resolution (4:2:0), and read it as a server does.

    Args:
        views: float32 [N, 3, H, W], 0 to 255.
        quality: The encoder's setting, 1 to BEST_JPEG.

    Returns:
        The same shape, dtype, range and device, channels_last.
    """
    height, width = views.shape[2:]
    whole = functional.pad(views.round(), (0, -width % _UNIT, 0, -height % _UNIT), mode="replicate")
    ycc = _convert(whole, _TO_YCC)
    of_brightness, of_colour = _quantisation(quality, views.device)
    brightness = _quantised(ycc[:, :1] - _GREY, of_brightness) + _GREY
    colours = _quantised(functional.avg_pool2d(ycc[:, 1:], 2).round(), of_colour)
    # Between two pixels of half the resolution lie two of the whole: a decoder takes 3/4 of the nearer one.
    enlarged = functional.interpolate(colours, scale_factor=2.0, mode="bilinear").round()
    read = _convert(torch.cat([brightness, enlarged], dim=1), _TO_RGB).clamp(0, 255)
    return read[:, :, :height, :width].contiguous(memory_format=torch.channels_last)


def _convert(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return other colours of an image [N, 3, H, W], rounded; the differences of colour have 0 in their middle."""
    return torch.einsum("ij,njhw->nihw", _matrix(matrix, image.device), image).round()


def _quantised(values: Tensor, table: Tensor) -> Tensor:
    """Return what is left of [N, C, H, W], -128 to 127, where each frequency is a multiple of its own step."""
    transform = _cosines(values.device)
    count, channels, height, width = values.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    blocks = values.reshape(count, channels, rows, _BLOCK, columns, _BLOCK).transpose(3, 4)  # [N, C, rows, cols, 8, 8]
    frequencies = transform @ blocks @ transform.T
    kept = (frequencies / table).round() * table
    read: Tensor = (transform.T @ kept @ transform).round().clamp(-_GREY, _GREY - 1)
    return read.transpose(3, 4).flatten(4, 5).flatten(2, 3)


# What follows is kept on each device: a copy to a GPU waits until it has done all that it was given before.
@cache
def _matrix(rows: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return the orthonormal discrete cosine transform of a block's side, [8, 8] (T.81, A.3.3)."""
    place = torch.arange(_BLOCK, dtype=torch.float64)
    waves = torch.cos(math.pi / _BLOCK * torch.outer(place, place + 0.5)) * math.sqrt(2 / _BLOCK)
    waves[0] /= math.sqrt(2)
    return waves.float().to(device)


@cache
def _quantisation(quality: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the steps of an encoder's frequencies for brightness and for colours, [8, 8] each."""
    buffer = io.BytesIO()
    Image.new("RGB", (_UNIT, _UNIT)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer) as stored:
        tables = stored.quantization  # type: ignore[attr-defined]  # of JPEG files only
    brightness, colour = (torch.tensor(tables[index], dtype=torch.float32, device=device) for index in (0, 1))
    return brightness.view(_BLOCK, _BLOCK), colour.view(_BLOCK, _BLOCK)
