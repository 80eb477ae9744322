"""Views as JPEG leaves them.

What callers send was compressed after it was framed: a network that learns to see past that should be shown it so, with
the loss drawn anew for every view.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imaging import decode_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray


BEST_JPEG = 95  # above, an encoder keeps what nobody sees


def as_jpeg(views: Tensor, quality: int) -> Tensor:
    """Store every view as JPEG, its colours at half the resolution (4:2:0), and read it as a server does.

    Args:
        views: float32 [N, 3, size, size], 0 to 255.
        quality: The encoder's setting, 1 to BEST_JPEG.

    Returns:
        The same shape, dtype, range and device, channels_last.
    """
    pixels = views.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    read = np.stack([_stored_and_read(each, quality) for each in pixels])
    return torch.from_numpy(read).to(views.device).permute(0, 3, 1, 2).float()


def _stored_and_read(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    height, width, _ = pixels.shape
    return decode_crop(buffer.getvalue(), height, width)
