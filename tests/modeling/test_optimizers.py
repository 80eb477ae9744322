"""Optimizers change weights as their authors say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from modeling.command import InputError
from modeling.network import Airbench
from modeling.network.layers import conv_bn
from modeling.optimizers import OPTIMIZERS, make_optimizer

if TYPE_CHECKING:
    from torch import Tensor

LEARNING_RATE = 0.01


def small_network() -> nn.Sequential:
    """A pointwise convolution, [16, 8, 1, 1], a depthwise one, [16, 1, 3, 3], and a classifier."""
    torch.manual_seed(0)
    layers = [*conv_bn(8, 16, 1), *conv_bn(16, 16, 3, groups=16), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def changes(optimizer: str, weight_decay: float = 0.0) -> dict[str, Tensor]:
    """How a step moves each parameter of the small network."""
    network = small_network().to(memory_format=torch.channels_last)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    stepping = make_optimizer(optimizer, network, weight_decay)
    for group in stepping.param_groups:
        group["lr"] = LEARNING_RATE
    network(torch.randn(4, 8, 5, 5)).square().sum().backward()
    stepping.step()
    return {name: parameter.detach() - before[name] for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_learns(name: str) -> None:
    """A step moves every parameter."""
    assert all(change.abs().max() > 0 for change in changes(name).values())


def test_muon_moves_a_matrix_in_all_directions() -> None:
    """The step's singular values are about the same, unlike those of AdamW's, and it is as long as those on the way."""
    steps = {name: changes(name)["0.weight"].flatten(1) for name in ("muon", "adamw")}
    values = {name: torch.linalg.svdvals(step) for name, step in steps.items()}
    length = {name: step.square().mean().sqrt() / LEARNING_RATE for name, step in steps.items()}

    assert values["muon"].max() < 2 * values["muon"].min()
    assert values["adamw"].max() > 3 * values["adamw"].min()
    assert length["adamw"] == pytest.approx(1, abs=0.01)  # the first one is longer: nothing is averaged yet
    assert 0.15 < length["muon"] < 0.25


def test_muon_leaves_the_rest_to_adamw() -> None:
    """What is no pointwise convolution takes the very step that AdamW would take."""
    muon, adamw = changes("muon"), changes("adamw")

    assert [name for name in muon if not torch.equal(muon[name], adamw[name])] == ["0.weight"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay(name: str) -> None:
    """It shrinks kernels and matrices, and neither biases nor the scales of a normalisation."""
    with_, without = changes(name, 0.5), changes(name)

    changed = {parameter for parameter in without if not torch.equal(with_[parameter], without[parameter])}
    assert changed == {"0.weight", "2.weight", "6.weight"}


def test_muon_needs_a_matrix() -> None:
    """A network without pointwise convolutions is told of."""
    with torch.device("meta"), pytest.raises(InputError, match="pointwise"):
        make_optimizer("muon", Airbench(3, 0.1, "none"), 0.0)
