"""ResNet-9 has its author's layers, and halves small images only three times."""

from __future__ import annotations

import pytest
import torch

from modeling.attention import ATTENTION
from modeling.counting import count_parameters
from modeling.network import ResNet9
from modeling.network.resnet9 import Residual

# Inputs and outputs of the 3x3 convolutions, from the image to the last residual.
CONVOLUTIONS = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]


def test_layers() -> None:
    """Eight convolutions without biases, their batch normalisations and a matrix are all that learns."""
    with torch.device("meta"):
        network = ResNet9(10, attention="none")

    layers = sum(9 * inputs * outputs + 2 * outputs for inputs, outputs in CONVOLUTIONS)
    assert count_parameters(network) == layers + 512 * 10 + 10


def test_size() -> None:
    """Of a small image the last layers still see four by four places."""
    with torch.device("meta"):
        assert ResNet9(10, width=0.5).features(torch.zeros(1, 3, 32, 32)).shape == (1, 256, 4, 4)


@pytest.mark.parametrize("size", [1, 4, 9])
def test_any_size(size: int) -> None:
    """Images that cannot be halved three times are seen as well, as by the other networks."""
    assert ResNet9(10, width=0.1)(torch.zeros(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize("attention", ["none", "se"])
def test_residual(attention: str) -> None:
    """A block adds to what it gets, with attention to the added part alone."""
    torch.manual_seed(0)
    block = Residual(8, ATTENTION[attention]).eval()
    x = torch.randn(2, 8, 5, 5)

    torch.testing.assert_close(block(x) - x, block.conv(x))
    with torch.no_grad():
        block.conv[4].weight.zero_()  # the last batch normalisation: nothing is added
    torch.testing.assert_close(block(x), x)
