"""Weights say by names and shapes alone which network they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modeling.attention import ATTENTION
from modeling.command import InputError
from modeling.network import NETWORKS
from modeling.recognition import Architecture, recognise

FILE = Path("weights.pth")


def state_of(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Return the tensors of a network, as shapes without weights."""
    network, attention, width, classes = architecture
    with torch.device("meta"):
        return NETWORKS[network](classes, width, attention).state_dict()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_every_network_with_every_attention(network: str, attention: str) -> None:
    """Whatever can be built is recognised with its classes; attention that leaves no trace is taken for none."""
    architecture = Architecture(network, attention, 1.0, 7)
    leaves_a_trace = ATTENTION[attention](8).state_dict()

    expected = architecture if leaves_a_trace else architecture._replace(attention="none")
    assert recognise(FILE, state_of(architecture)) == expected


@pytest.mark.parametrize("network", ["mobilenetv2", "mobilenext"])
@pytest.mark.parametrize("width", [0.1, 0.35, 0.75, 1.4])
def test_usual_widths(network: str, width: float) -> None:
    """The widths that papers use are found exactly."""
    architecture = Architecture(network, "ca", width, 1000)

    assert recognise(FILE, state_of(architecture)) == architecture


@pytest.mark.parametrize("width", [0.5, 1.5, 2.0])
def test_tabulated_widths(width: float) -> None:
    """ShuffleNetV2's widths that do not follow from scaling are found, too."""
    architecture = Architecture("shufflenetv2", "none", width, 1000)

    assert recognise(FILE, state_of(architecture)) == architecture


@pytest.mark.parametrize(
    ("network", "width"), [("mobilenext", 0.06321), ("mobilenext", 1.227), ("shufflenetv2", 2.76718)]
)
def test_odd_widths(network: str, width: float) -> None:
    """Of any other width one is found that has the same channels everywhere."""
    state = state_of(Architecture(network, "none", width, 2))
    found = state_of(recognise(FILE, state))

    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in state.items()
    }


def test_old_files() -> None:
    """Files from before batch normalisation counted batches are recognised, too."""
    state = state_of(Architecture("mobilenetv2", "ca"))
    without = {name: tensor for name, tensor in state.items() if "num_batches" not in name}

    assert len(without) < len(state)
    assert recognise(FILE, without) == Architecture("mobilenetv2", "ca")


def test_nearest_network() -> None:
    """Weights of another shape are refused with what they come nearest to, and the first differences from it."""
    state = state_of(Architecture("mobilenext", "se", 0.5, 10))
    state["features.3.conv.0.weight"] = torch.ones(3)
    state["extra"] = torch.ones(1)
    del state["features.0.0.weight"]

    everything = (
        r"weights\.pth fits none of mobilenetv2, mobilenext, shufflenetv2, airbench with any attention; the nearest is "
        r"mobilenext 0\.5 with attention 'se' for 10 classes: missing features\.0\.0\.weight; unexpected extra; "
        r"features\.3\.conv\.0\.weight has shape \(3,\) where the network has \(.*\)$"
    )
    with pytest.raises(InputError, match=everything):
        recognise(FILE, state)


@pytest.mark.parametrize("state", [{}, {"weight": torch.ones(1)}, {"classifier.1.bias": torch.ones(2, 2)}])
def test_something_else(state: dict[str, torch.Tensor]) -> None:
    """Weights of something else are refused in one line that is not endless."""
    with pytest.raises(InputError, match=r"fits none of .*; and \d+ more$") as refusal:
        recognise(FILE, state)

    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


def test_nearest_network_of_other_names() -> None:
    """Weights with torchvision's names for MobileNetV2 are told to be nearest to MobileNetV2."""
    state = state_of(Architecture("mobilenetv2", "none", 1.0, 1000))
    theirs = {
        name.replace("conv.0.", "features.0.", 1).replace(".conv.3.", ".conv.1.0."): state[name] for name in state
    }

    with pytest.raises(InputError, match="the nearest is mobilenetv2 1 with attention 'none' for 1000 classes"):
        recognise(FILE, theirs)
