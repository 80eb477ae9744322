"""A view is stored and read as callers and servers do."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from imaging import decode_crop
from modeling.stored_view import BEST_JPEG, as_jpeg


def noise(count: int = 8) -> torch.Tensor:
    """Draw views that JPEG keeps little of: float32 [count, 3, 24, 32]."""
    return torch.randint(0, 256, (count, 3, 24, 32), generator=torch.Generator().manual_seed(0)).float()


def test_shape_and_range() -> None:
    """What is read has the shape, type and range of what was stored, which stays as it was."""
    views = noise()
    before = views.clone()
    read = as_jpeg(views, 75)

    assert (read.shape, read.dtype) == (views.shape, torch.float32)
    assert read.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= read.min() <= read.max() <= 255
    assert torch.equal(views, before)


def blobs(count: int, height: int, width: int) -> torch.Tensor:
    """Draw views as smooth as photographs are: float32 [count, 3, height, width], 0 to 255."""
    few = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 255
    return torch.nn.functional.interpolate(few, size=(height, width), mode="bicubic").clamp(0, 255).round()


def stored_and_read(view: torch.Tensor, quality: int) -> torch.Tensor:
    """Store a view, [3, H, W], in a file and decode that."""
    buffer = io.BytesIO()
    pixels = view.to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return torch.from_numpy(decode_crop(buffer.getvalue(), *pixels.shape[:2])).permute(2, 0, 1).float()


@pytest.mark.parametrize("size", [(32, 32), (16, 48), (21, 30)])
@pytest.mark.parametrize("quality", [1, 20, 75, BEST_JPEG])
def test_as_a_file_would_be_read(quality: int, size: tuple[int, int]) -> None:
    """What is read is what a real encoder leaves and a server decodes, but for how either one rounds."""
    views = blobs(16, *size)
    files = torch.stack([stored_and_read(view, quality) for view in views])
    lost = (files - views).abs().mean()
    difference = (as_jpeg(views, quality) - files).abs().mean()

    assert difference < 0.25 * lost
    assert difference < 1.5


def test_hard_edges() -> None:
    """Where strong edges overshoot what a pixel holds, most pixels are those of a file, too."""
    few = torch.randint(0, 2, (16, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 255.0
    views = few.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    files = torch.stack([stored_and_read(view, 20) for view in views])
    difference = (as_jpeg(views, 20) - files).abs()

    assert (files - views).abs().mean() > 10
    assert difference.quantile(0.9) <= 4
    assert difference.mean() < 1.5


def test_views_stay_in_order() -> None:
    """Each view is read in its own place, its rows and columns where they were."""
    views = torch.zeros(4, 3, 24, 32)
    for index, view in enumerate(views):
        view[:, index * 6 : index * 6 + 6, index * 8 : index * 8 + 8] = 200

    assert (as_jpeg(views, BEST_JPEG) - views).abs().mean() < 3


def test_quality() -> None:
    """The lower the quality, the more is lost."""
    views = noise()
    lost = [(as_jpeg(views, quality) - views).abs().mean() for quality in (10, 50, 75, BEST_JPEG)]

    assert lost == sorted(lost, reverse=True)
    assert lost[0] > 1.2 * lost[-1]


def test_colours_lose_detail() -> None:
    """Of colours that differ from pixel to pixel half the resolution stays, of brightness nearly all."""
    checks = (torch.arange(24).view(-1, 1) + torch.arange(32)) % 2 == 0
    grey = torch.where(checks, 90.0, 160.0).expand(1, 3, 24, 32)
    red = torch.where(checks, 200.0, 0.0)
    coloured = torch.stack([red, torch.full((24, 32), 60.0), 200 - red])

    assert (as_jpeg(grey, BEST_JPEG) - grey).abs().mean() < 5
    assert (as_jpeg(coloured[None], BEST_JPEG) - coloured).abs().mean() > 40
