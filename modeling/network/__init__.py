"""The networks that host the attention family: normalised RGB [N, 3, H, W] to logits [N, classes]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from modeling.network.airbench import LEAST_SIZE, Airbench
from modeling.network.mobilenetv2 import MobileNetV2
from modeling.network.mobilenext import MobileNeXt
from modeling.network.shufflenetv2 import ShuffleNetV2

if TYPE_CHECKING:
    from torch import nn


class Host(Protocol):
    """What makes a network with fresh weights."""

    def __call__(self, classes: int, width: float, attention: str) -> nn.Module:
        """Build it; `attention` is a name in `modeling.attention.ATTENTION`."""


# A new host is a module of this package and a line here.
NETWORKS: dict[str, Host] = {
    "mobilenetv2": MobileNetV2,
    "mobilenext": MobileNeXt,
    "shufflenetv2": ShuffleNetV2,
    "airbench": Airbench,
}
# The fewest pixels a side that a network can see, where one is not enough.
LEAST_SIZES = {"airbench": LEAST_SIZE}

__all__ = ["LEAST_SIZES", "NETWORKS", "Airbench", "Host", "MobileNeXt", "MobileNetV2", "ShuffleNetV2"]
