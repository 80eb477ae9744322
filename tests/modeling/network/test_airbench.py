"""Airbench has its author's layers, begins as he lets it, and halves small images three times."""

from __future__ import annotations

import pytest
import torch

from modeling.counting import count_parameters
from modeling.facts import ModelFacts
from modeling.network import Airbench
from modeling.network.airbench import LEAST_SIZE, Block

# Inputs and outputs of the 3x3 convolutions.
CONVOLUTIONS = [(24, 128), (128, 128), (128, 384), (384, 384), (384, 384), (384, 384)]


def test_layers() -> None:
    """The whitening, six convolutions without biases with their normalisations, and a matrix are all there is."""
    with torch.device("meta"):
        network = Airbench(10, attention="none")

    layers = sum(9 * inputs * outputs + 2 * outputs for inputs, outputs in CONVOLUTIONS)
    assert count_parameters(network) == 24 * 3 * 4 + 24 + layers + 384 * 10


def test_size() -> None:
    """Of a small image the last layers still see three by three places, of the least one a single one."""
    with torch.device("meta"):
        network = Airbench(10)
        for size, places in ((32, 3), (LEAST_SIZE, 1)):
            whitened = network.whitening(torch.zeros(2, 3, size, size))
            assert network.features(whitened).shape == (2, 384, places, places)


def test_too_small() -> None:
    """Of which images nothing would be left is known before there is a network."""
    assert ModelFacts(("a", "b"), LEAST_SIZE, network="airbench").size == LEAST_SIZE
    with pytest.raises(ValueError, match="airbench must see at least 9 pixels a side"):
        ModelFacts(("a", "b"), LEAST_SIZE - 1, network="airbench")


def test_a_block_begins_with_what_it_gets() -> None:
    """Fresh filters let their inputs pass, and only channels that are added are of chance."""
    torch.manual_seed(0)
    block = Block(8, 12, lambda _: torch.nn.Identity())
    x = torch.randn(2, 8, 6, 6)

    torch.testing.assert_close(block.conv1(x)[:, :8], x)
    assert block.conv1(x)[:, 8:].abs().min() > 0


def test_whitening() -> None:
    """After it all directions of small patches vary alike, and each is there with either sign."""
    torch.manual_seed(0)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(64, 3, 34, 34), 3, stride=1) * 5
    network = Airbench(10, width=0.1, attention="none")
    network.whiten(smooth)

    with torch.no_grad():
        found = network.whitening(smooth) - network.whitening.bias.view(1, -1, 1, 1)
    directions = found[:, :12].permute(1, 0, 2, 3).flatten(1)
    assert (directions @ directions.T / directions.shape[1] - torch.eye(12)).abs().max() < 0.05
    torch.testing.assert_close(found[:, 12:], -found[:, :12])
    assert not network.whitening.weight.requires_grad
