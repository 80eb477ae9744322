"""Random views show what is in the image."""

from __future__ import annotations

import torch

from modeling.augmentation import augment


def test_shape_and_range() -> None:
    """Views have the size that is asked for and no value that is not between those of the image."""
    pixels = torch.randint(50, 200, (16, 20, 24, 3), dtype=torch.uint8)
    views = augment(pixels, 12)

    assert (views.shape, views.dtype) == ((16, 3, 12, 12), torch.float32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert 50 <= views.min() <= views.max() <= 199


def test_views_stay_upright_and_centred() -> None:
    """Top stays top, left and right are swapped in half of the views, and none is moved far."""
    ramp = torch.arange(64, dtype=torch.uint8)
    down = ramp.view(1, 64, 1, 1).expand(200, 64, 64, 3)
    views = augment(down, 64)[:, 0]
    assert (views[:, 40] > views[:, 24]).all()
    assert 26 < views[:, 31:33].mean() < 37

    views = augment(down.transpose(1, 2), 64)[:, 0]
    mirrored = (views[:, :, 40] < views[:, :, 24]).all(dim=1)
    assert 60 < mirrored.sum() < 140


def test_seed_decides() -> None:
    """The same seed draws the same views, another one other views."""
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    views = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        views.append(augment(pixels, 16))

    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
