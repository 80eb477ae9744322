"""A module that computes something else than its network is told from one that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.comparison import ExportError, largest_difference
from modeling.fresh import Fresh
from modeling.servable import InputForm, Precision, Servable
from modeling.torchscript import load_torchscript, save_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from modeling.facts import ModelFacts

    Trained = Callable[[ModelFacts], nn.Module]


def test_differing_module_is_noticed(tmp_path: Path, facts: ModelFacts, trained: Trained) -> None:
    """A module that computes something else than the network does not pass the check."""
    network = trained(facts)
    save_torchscript(Servable(network, facts), facts, tmp_path / "model.pt")
    with torch.no_grad():
        network.classifier[1].bias[0].add_(0.01)  # type: ignore[index]  # PyTorch says less of modules than they are

    module, _, form = load_torchscript(tmp_path / "model.pt")
    with pytest.raises(ExportError, match="differs from the network by"):
        largest_difference(Servable(network, facts), module, form, facts.size, [1, 2], Precision.FP32.tolerance)


def test_a_module_that_ignores_its_input_is_noticed(facts: ModelFacts, trained: Trained) -> None:
    """Of many classes each is unlikely: what says the same of all is not near the network, in bfloat16 either."""
    facts = replace(facts, classes=tuple(map(str, range(1000))))
    network = trained(facts)

    def ignorant(images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 1000), 1e-3)

    with pytest.raises(ExportError, match="differs from the network by"):
        largest_difference(
            Servable(network, facts), ignorant, InputForm.UINT8, facts.size, [1], Precision.BF16.tolerance
        )


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("attention", ["ca", "cbam", "se"])
def test_a_fresh_network_is_told_from_one_that_ignores_its_input(attention: str, precision: Precision) -> None:
    """Fresh gates leave all classes nearly as likely: what little tells them apart is what is compared."""
    network, facts = Fresh(width=0.5, attention=attention).build()
    servable = Servable(network, facts)

    def blind(images: torch.Tensor) -> torch.Tensor:
        return servable(torch.zeros_like(images))

    def compare(other: Callable[[torch.Tensor], torch.Tensor]) -> float:
        return largest_difference(servable, other, InputForm.UINT8, 64, [1], precision.tolerance)

    assert compare(Servable(network, facts, precision=precision)) < 1e-4
    with pytest.raises(ExportError, match="differs from the network by"):
        compare(blind)
