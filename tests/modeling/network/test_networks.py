"""Every host takes every member of the attention family, at any width, in training, and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from modeling.attention import ATTENTION
from modeling.comparison import largest_difference
from modeling.facts import ModelFacts
from modeling.network import NETWORKS
from modeling.servable import Precision, Servable
from modeling.torchscript import load_torchscript, save_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

# Tracing takes its time: each host once, and each kind of attention once.
EXPORTED = [*((network, "ca") for network in NETWORKS), *(("mobilenetv2", attention) for attention in ATTENTION)]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("attention", ["ca", "sa"])
def test_any_width(network: str, attention: str) -> None:
    """A network of any width maps images of any shape to a logit for each class."""
    for width in (0.1, 0.37, 1.4):
        with torch.device("meta"):  # shapes without weights
            built = NETWORKS[network](7, width, attention).eval()
            assert built(torch.zeros(2, 3, 32, 48)).shape == (2, 7)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_every_parameter_learns(network: str, attention: str) -> None:
    """The loss reaches each parameter, and none of the gradients is infinite or not a number."""
    torch.manual_seed(0)
    built = NETWORKS[network](3, 0.1, attention).train()
    built(torch.randn(2, 3, 48, 48)).square().sum().backward()

    for name, parameter in built.named_parameters():
        if not parameter.requires_grad:
            assert network == "airbench", name  # whose normalisations have fixed scales
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_channels_last(network: str, attention: str, randomised: Callable[[nn.Module], nn.Module]) -> None:
    """The layout of the images in memory changes no logit."""
    torch.manual_seed(0)
    built = randomised(NETWORKS[network](3, 0.1, attention))
    images = torch.randn(2, 3, 40, 48)
    with torch.inference_mode():
        found = built(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(found, built(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("network", "attention"), sorted(set(EXPORTED)))
@pytest.mark.parametrize("precision", Precision)
def test_export(
    tmp_path: Path, network: str, attention: str, precision: Precision, trained: Callable[[ModelFacts], nn.Module]
) -> None:
    """The exported module gives the network's probabilities at every batch size; the check fails where it does not."""
    facts = ModelFacts(("a", "b", "c"), size=40, network=network, width=0.1, attention=attention)
    built = trained(facts)
    save_torchscript(Servable(built, facts, precision=precision), facts, tmp_path / "model.pt")

    module, _, form = load_torchscript(tmp_path / "model.pt")
    largest = largest_difference(Servable(built, facts), module, form, facts.size, [1, 3], precision.tolerance)

    assert largest <= precision.tolerance
