"""Counting the layers' products gives the numbers that the papers print."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn

from modeling.counting import count_multiply_adds, count_parameters
from modeling.network import NETWORKS


class Row(NamedTuple):
    """A row of Coordinate Attention's comparison."""

    width: float
    attention: str
    parameters: str  # in millions, with the paper's digits
    multiply_adds: int  # in millions; the paper prints tens


# The rows of width 1.0 are those that the paper's authors also print beside their code. Those of the narrower networks
# are quoted at second hand. One of these differs: the plain network of width 0.75 is quoted with 2.5 M and 200 M, where
# counting gives 2.64 M and 209 M, on which the quoted rows with attention stand, too (SE adds 0.22 M at this width).
MOBILENETV2 = [
    Row(1.0, "none", "3.5", 300),
    Row(1.0, "se", "3.89", 300),
    Row(1.0, "cbam", "3.89", 300),
    Row(1.0, "ca", "3.95", 310),
    Row(0.75, "none", "2.6", 210),
    Row(0.75, "se", "2.86", 210),
    Row(0.75, "cbam", "2.86", 210),
    Row(0.75, "ca", "2.89", 210),
    Row(0.5, "none", "2.0", 100),
    Row(0.5, "se", "2.1", 100),
    Row(0.5, "cbam", "2.1", 100),
    Row(0.5, "ca", "2.1", 100),
]


def count(network: str, width: float, attention: str) -> tuple[float, float]:
    """Count parameters and M-Adds for ImageNet, in millions."""
    with torch.device("meta"):
        built = NETWORKS[network](1000, width, attention)
    return count_parameters(built) / 1e6, count_multiply_adds(built, 224) / 1e6


@pytest.mark.parametrize("row", MOBILENETV2, ids=lambda row: f"{row.width}-{row.attention}")
def test_mobilenetv2(row: Row) -> None:
    """MobileNetV2 has the parameters and M-Adds printed for each attention and width, to the last digit."""
    parameters, multiply_adds = count("mobilenetv2", row.width, row.attention)
    digits = len(row.parameters.partition(".")[2])

    assert f"{parameters:.{digits}f}" == row.parameters
    assert round(multiply_adds, -1) == row.multiply_adds


@pytest.mark.parametrize(
    ("attention", "parameters", "multiply_adds"), [("none", 3.5, 300), ("se", 3.89, 300), ("ca", 4.09, 330)]
)
def test_mobilenext(attention: str, parameters: float, multiply_adds: float) -> None:
    """MobileNeXt has the paper's parameters to one percent and its M-Adds to four.

    The authors' own code has 3.54 M parameters and 311 M M-Adds where they print 3.5 and 300, and what attention adds
    stands on that. No convolution of 0.6 M parameters over rows and columns costs the 30 M M-Adds that they print for
    Coordinate Attention: the products with both gates, which are not counted elsewhere, must be among them.
    """
    found = count("mobilenext", 1.0, attention)

    assert found[0] == pytest.approx(parameters, rel=0.0105)
    assert found[1] == pytest.approx(multiply_adds, rel=0.04)


def test_what_attention_adds_to_mobilenext() -> None:
    """Coordinate Attention and SE add to MobileNeXt's parameters what the paper's rows differ by."""
    plain, coordinate, excitation = (count("mobilenext", 1.0, attention)[0] for attention in ("none", "ca", "se"))

    assert (coordinate - plain) / (excitation - plain) == pytest.approx((4.09 - 3.5) / (3.89 - 3.5), rel=0.01)


def test_exact_parameters() -> None:
    """MobileNetV2 1.0 is as everyone counts it, and with attention as its authors' checkpoint is, to the last one."""
    assert [count("mobilenetv2", 1.0, attention)[0] for attention in ("none", "ca")] == [3.504872, 3.950648]


def test_by_hand() -> None:
    """A convolution costs its kernel's products at each output, divided among its groups; a matrix costs its size."""
    layers = [nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)]
    network = nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 5 * 5, 7))

    assert count_multiply_adds(network, 10) == 100 * 4 * 3 + 25 * 8 * 4 * 9 + 25 * 8 * 9 + 200 * 7
    assert count_parameters(network) == (12 + 4) + (288 + 8) + (72 + 8) + 16 + (1400 + 7)


def test_a_layer_that_is_used_twice_counts_twice() -> None:
    """What counts is how often a layer runs, not how often it is there; and counting leaves nothing behind."""
    layer = nn.Conv2d(3, 3, 1)
    network = nn.Sequential(layer, layer)

    assert [count_multiply_adds(network, 2), count_multiply_adds(network, 2)] == [2 * 4 * 9] * 2
    assert layer.weight.device.type == "cpu"
