"""Networks with fresh weights, as training begins with them: enough to measure what a network costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from modeling.facts import ModelFacts
from modeling.weights import IMAGENET_LABELS_FILE, read_labels

if TYPE_CHECKING:
    from torch import nn

FRESH = "fresh"
_SIZE = 224
_CROP_FRACTION = 0.875


@dataclass(frozen=True, slots=True)
class Fresh:
    """Which network is built, and from which seed; pixels and classes are those of ImageNet.

    Attributes:
        network: A name in `network.NETWORKS`.
        width: The network's width multiplier.
        attention: A name in `attention.ATTENTION`.
        seed: Of the weights.
    """

    network: str = "mobilenetv2"
    width: float = 1.0
    attention: str = "ca"
    seed: int = 0

    @property
    def name(self) -> str:
        """What to call it; one that is not of the usual width says so."""
        width = "" if self.width == 1 else f"_{self.width:g}"
        return f"{self.network}_{self.attention}{width}"

    def build(self, labels: tuple[str, ...] | None = None) -> tuple[nn.Module, ModelFacts]:
        """Build the network, and tell what is known about it; `labels` stand in place of ImageNet's."""
        classes = labels or read_labels(IMAGENET_LABELS_FILE)
        facts = ModelFacts(
            classes,
            _SIZE,
            network=self.network,
            width=self.width,
            attention=self.attention,
            crop_fraction=_CROP_FRACTION,
        )
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.seed)
            return facts.build(), facts
