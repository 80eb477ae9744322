"""Networks without training, to measure what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from modeling.export import main
from modeling.torchscript import load_torchscript
from tests.modeling.commands import FRESH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from modeling.facts import ModelFacts

    Trained = Callable[[ModelFacts], nn.Module]


def test_command_exports_fresh_weights(tmp_path: Path) -> None:
    """A network without trained weights is exported as it is described, for ImageNet's classes."""
    assert main([*FRESH, "--model-repository", str(tmp_path)]) == 0

    module, facts, _ = load_torchscript(tmp_path / "mobilenetv2_se_0.1/1/model.pt")
    assert (facts.network, facts.attention, facts.width, facts.size) == ("mobilenetv2", "se", 0.1, 32)
    assert (len(facts.classes), facts.classes[0]) == (1000, "tench")
    assert module(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).shape == (1, 1000)


def test_fresh_weights_are_those_of_the_seed(tmp_path: Path) -> None:
    """The same seed gives the same weights, another one others, and the caller's own random numbers go on as before."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    pixels = torch.full((1, 32, 32, 3), 90, dtype=torch.uint8)
    found = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*FRESH, "--seed", seed, "--name", name, "--model-repository", str(tmp_path)]) == 0
        found.append(load_torchscript(tmp_path / name / "1" / "model.pt")[0](pixels))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.rand(1), expected)


def test_fresh_weights_take_any_labels(tmp_path: Path) -> None:
    """The labels say how many classes a network without trained weights has."""
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    options = ["--labels", str(tmp_path / "labels.txt"), "--model-repository", str(tmp_path)]

    assert main([*FRESH, *options]) == 0

    assert load_torchscript(tmp_path / "mobilenetv2_se_0.1/1/model.pt")[1].classes == ("cat", "dog")
