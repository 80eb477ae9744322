"""ShuffleNetV2 is its paper's network."""

from __future__ import annotations

import pytest
import torch

from modeling.attention import ATTENTION
from modeling.counting import count_multiply_adds, count_parameters
from modeling.network import ShuffleNetV2
from modeling.network.shufflenetv2 import ShuffleUnit, stage_channels


@pytest.mark.parametrize(
    ("width", "parameters", "multiply_adds"), [(0.5, 1.4, 41), (1.0, 2.3, 146), (1.5, 3.5, 299), (2.0, 7.4, 591)]
)
def test_papers_counts(width: float, parameters: float, multiply_adds: float) -> None:
    """Each of the paper's widths has its parameters, and its M-Adds but for the one percent that are no products."""
    with torch.device("meta"):
        network = ShuffleNetV2(1000, width, "none")

    assert round(count_parameters(network) / 1e6, 1) == parameters
    assert count_multiply_adds(network, 224) / 1e6 == pytest.approx(multiply_adds, rel=0.015)


def test_half_passes() -> None:
    """Without a stride, half of the channels come out as they went in, each between two that the branch made."""
    torch.manual_seed(0)
    unit = ShuffleUnit(16, 16, 1, ATTENTION["se"]).eval()
    x = torch.randn(2, 16, 5, 5)
    with torch.inference_mode():
        y = unit(x)

    assert torch.equal(y[:, 0::2], x[:, :8])
    torch.testing.assert_close(y[:, 1::2], unit.branch(x[:, 8:]))


def test_stride_doubles_the_channels() -> None:
    """With a stride, both ways take all channels, and together give as many as are asked for."""
    unit = ShuffleUnit(24, 48, 2, ATTENTION["none"]).eval()

    assert unit(torch.zeros(2, 24, 8, 6)).shape == (2, 48, 4, 3)


@pytest.mark.parametrize("width", [0.1, 0.25, 0.75, 1.25, 3.0])
def test_other_widths(width: float) -> None:
    """Widths that the paper does not have are those of 1.0 scaled, and can be halved twice."""
    *stages, head = stage_channels(width)

    assert all(channels % 4 == 0 for channels in stages)
    assert stages == pytest.approx([116 * width, 232 * width, 464 * width], abs=4)
    assert head >= 1024
