"""A view is stored and read as callers and servers do."""

from __future__ import annotations

import torch

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
