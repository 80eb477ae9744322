"""The networks that host the attention family: normalised RGB [N, 3, H, W] to logits [N, classes]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from modeling.command import InputError
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
_LEAST_SIZES = {"airbench": LEAST_SIZE}  # pixels a side, where one is not enough


def require_size(network: str, size: int) -> None:
    """Raise InputError where a network cannot see images of so few pixels a side."""
    least = _LEAST_SIZES.get(network, 1)
    if size < least:
        raise InputError(f"{network} must see at least {least} pixels a side, got {size}")


__all__ = ["NETWORKS", "Airbench", "Host", "MobileNeXt", "MobileNetV2", "ShuffleNetV2", "require_size"]
