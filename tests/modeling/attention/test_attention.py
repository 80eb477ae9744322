"""What all members of the family have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from modeling.attention import ATTENTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize(("height", "width"), [(9, 9), (1, 1), (1, 7), (5, 8)])
@pytest.mark.parametrize("channels", [8, 58, 144])
def test_shape(attention: str, channels: int, height: int, width: int) -> None:
    """Attention takes activations of any height and width, keeps their shape, and loses no number."""
    module = ATTENTION[attention](channels).eval()
    with torch.inference_mode():
        y = module(torch.randn(2, channels, height, width))

    assert y.shape == (2, channels, height, width)
    assert y.isfinite().all()


@pytest.mark.parametrize("attention", ATTENTION)
def test_images_do_not_mix(attention: str, randomised: Callable[[nn.Module], nn.Module]) -> None:
    """What comes out for an image does not depend on the others in its batch."""
    torch.manual_seed(0)
    module = randomised(ATTENTION[attention](48))
    x = torch.randn(3, 48, 5, 6)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), torch.cat([module(image[None]) for image in x]))


@pytest.mark.parametrize("attention", sorted(set(ATTENTION) - {"none", "sa"}))
def test_gates(attention: str, randomised: Callable[[nn.Module], nn.Module]) -> None:
    """A gate lets less through or, as BAM's, up to twice as much; it turns no sign and is not the same everywhere."""
    torch.manual_seed(0)
    module = randomised(ATTENTION[attention](48))
    x = torch.randn(2, 48, 5, 6)
    with torch.inference_mode():
        gate = module(x) / x

    assert gate.min() > 0
    assert gate.max() < (2 if attention == "bam" else 1)
    assert gate.std() > 1e-4
