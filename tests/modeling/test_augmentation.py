"""Random views show what is in the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from modeling.augmentation import VARIETIES, Variety, augment, mix

FULL = VARIETIES["full"]
FRAMED = replace(FULL, sharpness=(0, 0), light=0)  # views of unchanged sharpness and light
WHOLE = replace(FULL, zoom=(1, 1), stretch=1, shift=0)  # views of the whole image
RELIT = replace(WHOLE, sharpness=(0, 0))


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same views each time."""
    torch.manual_seed(0)


def ramp(count: int, size: int = 64) -> torch.Tensor:
    """Draw images that get brighter from top to bottom, by one a pixel: uint8 [count, size, size, 3]."""
    return torch.arange(size, dtype=torch.uint8).view(1, size, 1, 1).expand(count, size, size, 3)


@pytest.mark.parametrize("variety", VARIETIES.values(), ids=VARIETIES)
@pytest.mark.parametrize("size", [1, 12, 40])
def test_shape_and_range(size: int, variety: Variety) -> None:
    """Views have the size that is asked for, larger or smaller than the image, and no value that no pixel can have."""
    pixels = torch.randint(0, 256, (64, 20, 24, 3), dtype=torch.uint8)
    before = pixels.clone()
    views = augment(pixels, size, variety)

    assert (views.shape, views.dtype) == ((64, 3, size, size), torch.float32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= views.min() <= views.max() <= 255
    assert torch.equal(pixels, before)


@pytest.mark.parametrize("variety", VARIETIES.values(), ids=VARIETIES)
def test_views_are_made_where_the_images_are(variety: Variety) -> None:
    """Nothing that is drawn for them lies elsewhere, where computing with both would fail."""
    views = augment(torch.zeros(4, 20, 24, 3, dtype=torch.uint8, device="meta"), 12, variety)

    assert {each.device.type for each in (views, *mix(views, 0.5))} == {"meta"}


def test_framing_invents_no_values() -> None:
    """Moved and zoomed alone, a view has no value that is not between those of the image, also beyond its edges."""
    views = augment(torch.randint(50, 200, (64, 20, 24, 3), dtype=torch.uint8), 12, FRAMED)

    assert 50 <= views.min() <= views.max() <= 199


def test_views_stay_upright_and_centred() -> None:
    """Top stays top, left and right are swapped in half of the views, and none is moved far."""
    views = augment(ramp(200), 64, FRAMED)[:, 0]
    assert (views[:, 40] > views[:, 24]).all()
    assert (views[:, 31:33].mean(dim=(1, 2)) - 31.5).abs().max() < 32 * FULL.shift + 0.1

    views = augment(ramp(200).transpose(1, 2), 64, FRAMED)[:, 0]
    mirrored = (views[:, :, 40] < views[:, :, 24]).all(dim=1)
    assert 60 < mirrored.sum() < 140


def test_zoom_and_stretch() -> None:
    """A view shows a part of the image whose sides are within the limits, not the same ones for height and width."""
    both = torch.cat([ramp(200)[..., :1], ramp(200)[..., :1].transpose(1, 2), ramp(200)[..., :1]], dim=3)
    views = augment(both, 64, FRAMED)
    heights = (views[:, 0, 40] - views[:, 0, 24]).mean(dim=1) / 16  # as a share of the image's
    widths = (views[:, 1, :, 40] - views[:, 1, :, 24]).mean(dim=1).abs() / 16

    for sides in (heights, widths):
        assert FULL.zoom[0] / FULL.stretch**0.5 - 0.01 < sides.min() < 0.8
        assert 1.1 < sides.max() < FULL.zoom[1] * FULL.stretch**0.5 + 0.01
    assert 1.1 < (widths / heights).max() < FULL.stretch + 0.01
    assert 1 / FULL.stretch - 0.01 < (widths / heights).min() < 1 / 1.1


def test_light() -> None:
    """Brightness changes by a limited share, and the darker of two pixels stays darker."""
    views = augment(ramp(200) + 60, 64, RELIT)[:, 0]
    means = views.mean(dim=(1, 2)) / (60 + 31.5)

    assert 1 - FULL.light - 0.01 < means.min() < 0.85
    assert 1.15 < means.max() < 1 + FULL.light + 0.01
    assert (views[:, 40:, 5:59].mean(dim=(1, 2)) > views[:, :24, 5:59].mean(dim=(1, 2))).all()


def test_saturation() -> None:
    """Colours become paler or stronger, but never others; grey stays grey."""
    orange = torch.tensor([160, 110, 60], dtype=torch.uint8).expand(200, 8, 8, 3)
    red, green, blue = augment(orange, 8, RELIT).mean(dim=(2, 3)).unbind(dim=1)
    strength = (red - blue) / green / (100 / 110)

    assert (1 - FULL.light) ** 2 <= strength.min() < 0.8  # a change of contrast adds to that of saturation
    assert 1.2 < strength.max() <= (1 + FULL.light) ** 2
    torch.testing.assert_close(red - green, green - blue, rtol=0, atol=1e-3)
    grey = augment(torch.full((20, 8, 8, 3), 90, dtype=torch.uint8), 8, RELIT)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize("size", [32, 48, 63, 64, 96])
def test_sharpness(size: int) -> None:
    """Below 0 an edge becomes softer, above 0 harder, whatever the size of the views."""
    edge = torch.full((50, size, size, 3), 60, dtype=torch.uint8)
    edge[:, :, 9:] = 160
    steepest = {}
    for sharpness in (-0.7, 0.0, 0.5):
        variety = replace(WHOLE, sharpness=(sharpness, sharpness), light=0)
        softest_and_hardest = augment(edge, size, variety)[:, 0].diff(dim=2).abs().amax(dim=(1, 2)).aminmax()
        steepest[sharpness] = softest_and_hardest.min if sharpness < 0 else softest_and_hardest.max

    assert steepest[-0.7] < 90
    assert 99 < steepest[0.0] < 101
    assert steepest[0.5] > 110


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mix(share: float) -> None:
    """The due share of the images has one square of the image before, and each image's own share is told."""
    images = torch.arange(400.0).view(400, 1, 1, 1).expand(400, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    mixed, own = mix(images, share)
    foreign = (mixed != images).all(dim=1)  # [N, H, W]
    heights, widths = foreign.any(dim=2).sum(dim=1), foreign.any(dim=1).sum(dim=1)

    assert mixed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
    assert torch.equal(torch.where(foreign[:, None], images.roll(1, 0), images), mixed)
    assert torch.equal(foreign.sum(dim=(1, 2)), heights * widths)
    torch.testing.assert_close(own, 1 - foreign.float().mean(dim=(1, 2)))
    assert (own < 1).float().mean() == pytest.approx(share, abs=0.1 if share else 0)
    assert own.min() < 0.3 or not share


def test_slight_variety() -> None:
    """Where nothing is moved, slightly different views are much nearer to the image."""
    image = ramp(200)[:, None, :, :, 0]  # symmetrical, or half of the views would be mirrored
    distances = {
        name: (augment(ramp(200), 64, replace(variety, shift=0)) - image).abs().mean()
        for name, variety in VARIETIES.items()
    }

    assert distances["slight"] < distances["full"] / 2


def test_sharp_views() -> None:
    """Most views are the image, mirrored or moved by up to four of 32 pixels, with its own edge behind its edges."""
    image = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    views = augment(image.expand(200, 32, 32, 3), 32, VARIETIES["sharp"])
    padded = np.pad(image.numpy(), ((4, 4), (4, 4), (0, 0)), "symmetric")
    moved = [padded[y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    sharp = {view.tobytes() for whole in moved for view in (whole, whole[:, ::-1])}
    pixels = views.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()

    found = [view.tobytes() in sharp for view in pixels]
    assert 140 < sum(found) < 180
    assert len({view.tobytes() for view in pixels}) > 100


def test_seed_decides() -> None:
    """The same seed draws the same views, another one other views, and no two images of a batch the same."""
    pixels = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8).expand(4, 16, 16, 3)
    views = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        views.append(augment(pixels, 16, FULL))

    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0][0], views[0][1])
