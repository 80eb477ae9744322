"""What a server runs is the network, with all around it that its callers need not know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from modeling.export import Destination, export_model
from modeling.model_config import Serving
from modeling.servable import InputForm, Servable
from modeling.torchscript import load_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from modeling.facts import ModelFacts

    Trained = Callable[[ModelFacts], nn.Module]


def by_hand(network: nn.Module, facts: ModelFacts, pixels: Tensor) -> Tensor:
    """Compute the network's logits of pixels, uint8 [N, H, W, 3], step by step."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (facts.mean, facts.std))
    images = (pixels.permute(0, 3, 1, 2) / 255 - mean) / std
    larger = (facts.size * facts.enlargement,) * 2
    logits: Tensor = network(functional.interpolate(images, larger, mode="bilinear", align_corners=False))
    return logits


@pytest.mark.parametrize("form", InputForm)
@pytest.mark.parametrize(("enlargement", "temperature"), [(1, 1.0), (3, 1.0), (2, 0.4), (1, 2.5)])
def test_steps(facts: ModelFacts, trained: Trained, form: InputForm, enlargement: int, temperature: float) -> None:
    """Callers give images as they have them; the network gets them normalised and enlarged, and its logits cooled."""
    facts = replace(facts, size=20, enlargement=enlargement, temperature=temperature)
    network = trained(facts)
    pixels = torch.randint(0, 256, (3, 20, 20, 3), dtype=torch.uint8)
    servable = Servable(network, facts, form)
    with torch.inference_mode():
        expected = by_hand(network, facts, pixels)
        torch.testing.assert_close(servable.logits(form.from_pixels(pixels)), expected, rtol=1e-4, atol=1e-5)
        probabilities = servable(form.from_pixels(pixels))

    torch.testing.assert_close(probabilities, (expected / temperature).softmax(dim=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", InputForm)
def test_exported(tmp_path: Path, facts: ModelFacts, trained: Trained, form: InputForm) -> None:
    """The exported module enlarges small images and cools logits itself, for batches of any size."""
    facts = replace(facts, size=16, enlargement=2, temperature=0.5)
    network = trained(facts)
    export_model(network, facts, Destination(tmp_path, "tiny"), Serving(form, max_batch_size=4))
    module, loaded_facts, _ = load_torchscript(tmp_path / "tiny" / "1" / "model.pt")

    assert loaded_facts == facts
    for batch_size in (1, 3):
        pixels = torch.randint(0, 256, (batch_size, 16, 16, 3), dtype=torch.uint8)
        with torch.inference_mode():
            expected = (by_hand(network, facts, pixels) / 0.5).softmax(dim=1)
            torch.testing.assert_close(module(form.from_pixels(pixels)), expected, rtol=0, atol=1e-5)
