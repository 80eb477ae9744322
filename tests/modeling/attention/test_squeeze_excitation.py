"""Squeeze-and-Excitation computes what its paper says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from modeling.attention.squeeze_excitation import SqueezeExcitation

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def test_formula(randomised: Callable[[nn.Module], nn.Module]) -> None:
    """Each channel is multiplied with sigmoid(W2 relu(W1 z)), where z are the channels' means."""
    torch.manual_seed(0)
    module = SqueezeExcitation(96)
    randomised(module)
    x = torch.randn(2, 96, 3, 5)
    first, second = module.reduce, module.expand
    assert first.bias is not None
    assert second.bias is not None
    z = x.sum(dim=(2, 3)) / 15
    s = torch.sigmoid(
        (z @ first.weight[:, :, 0, 0].T + first.bias).clamp(min=0) @ second.weight[:, :, 0, 0].T + second.bias
    )

    torch.testing.assert_close(module(x), torch.einsum("nchw,nc->nchw", x, s))


@pytest.mark.parametrize(("channels", "reduced"), [(16, 1), (96, 4), (960, 40)])
def test_reduction(channels: int, reduced: int) -> None:
    """A 24th of the channels decides, and one at least."""
    assert SqueezeExcitation(channels).reduce.out_channels == reduced
