"""The attention family: what may stand in a block of a network. Each takes and returns [N, C, H, W]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modeling.attention.bam import BAM
from modeling.attention.cbam import CBAM
from modeling.attention.coordinate import CoordinateAttention
from modeling.attention.coordinate_shared import SharedCoordinateAttention
from modeling.attention.none import NoAttention
from modeling.attention.shuffle import ShuffleAttention
from modeling.attention.simam import SimAM
from modeling.attention.squeeze_excitation import SqueezeExcitation

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

# From a name to what makes a block from the number of its channels. A new member is a class and a line here.
ATTENTION: dict[str, Callable[[int], nn.Module]] = {
    "none": NoAttention,
    "se": SqueezeExcitation,
    "cbam": CBAM,
    "bam": BAM,
    "ca": CoordinateAttention,
    "ca-shared": SharedCoordinateAttention,
    "simam": SimAM,
    "sa": ShuffleAttention,
}
