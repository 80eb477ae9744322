"""Which network weights are for, told from the names and shapes of their tensors."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch

from modeling.attention import ATTENTION
from modeling.checkpoint import listed, misfits, shapes_of
from modeling.command import InputError
from modeling.network import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    Shapes = Mapping[str, tuple[int, ...]]

_WIDTHS = range(500, 80_000)  # that are looked for, in ten-thousandths: fine enough to find the channels of any other
_ROUND = (2500, 500, 100, 10, 1)  # of widths with the same channels, the roundest is named
_THEIR_PROJECTION = "features.2.conv.6.weight"


class Architecture(NamedTuple):
    """What a network is built from; the names of its tensors follow from the first two alone.

    Attributes:
        network: A name in `network.NETWORKS`.
        attention: A name in `attention.ATTENTION`.
        width: The network's width multiplier.
        classes: How many classes it tells apart.
    """

    network: str
    attention: str
    width: float = 1.0
    classes: int = 1000

    def __str__(self) -> str:
        return f"{self.network} {self.width:g} with attention {self.attention!r} for {self.classes} classes"

    def shapes(self) -> Shapes:
        """Return the names of its tensors and their shapes."""
        return _shapes(self)


def recognise(path: Path, state: Mapping[str, Tensor]) -> Architecture:
    """Find the one network that the weights in a file fit.

    Attention without parameters leaves no trace in a file: where it cannot be told from none, none is taken.

    Raises:
        InputError: They fit none; the message says which one is nearest, and where they differ from it.
    """
    found = shapes_of(state)
    nearest = _with_width(_with_classes(_by_names(found), found), found)
    problems = misfits(nearest.shapes(), found)
    if problems:
        networks = ", ".join(NETWORKS)
        raise InputError(
            f"{path} fits none of {networks} with any attention; the nearest is {nearest}: {listed(problems)}"
        )
    return nearest


def our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a MobileNetV2 of github.com/d-li14/mobilenetv2.pytorch; leave others as they are.

    It has no place for attention before the projection, and nothing but a matrix as its classifier.
    """
    if not {_THEIR_PROJECTION, "classifier.weight"} <= state.keys():
        return state
    return {_our_name(name): tensor for name, tensor in state.items()}


def _our_name(name: str) -> str:
    name = re.sub(r"^(features\.\d+\.conv)\.([67])\.", lambda match: f"{match[1]}.{int(match[2]) + 1}.", name)
    return re.sub(r"^classifier\.", "classifier.1.", name)


@cache
def _shapes(architecture: Architecture) -> Shapes:
    network, attention, width, classes = architecture
    with torch.device("meta"):  # shapes without weights
        return shapes_of(NETWORKS[network](classes, width, attention).state_dict())


def _by_names(found: Shapes) -> Architecture:
    """Return the network and attention that share most names; of several, the first, so that none comes first."""
    candidates = [Architecture(network, attention) for network in NETWORKS for attention in ATTENTION]

    def shared(candidate: Architecture) -> float:
        names = candidate.shapes().keys()
        return len(names & found.keys()) / len(names | found.keys())

    return max(candidates, key=shared)


def _with_classes(architecture: Architecture, found: Shapes) -> Architecture:
    """Take the number of classes from the network's last tensor, the classifier's bias, or its matrix without one."""
    *_, last = architecture.shapes()
    match found.get(last):
        case (int(classes), *_) if classes > 0:
            return architecture._replace(classes=classes)
    return architecture


def _with_width(architecture: Architecture, found: Shapes) -> Architecture:
    """Take the width that gives the tensors' shapes, or else the one with the fewest that differ."""

    def candidate(step: int) -> Architecture:
        return architecture._replace(width=step / 10_000)

    def larger_ones(step: int) -> int:
        """Return how many more tensors are larger than found than smaller."""
        differences = [
            math.prod(shape) - math.prod(found.get(name, shape)) for name, shape in candidate(step).shapes().items()
        ]
        return sum((difference > 0) - (difference < 0) for difference in differences)

    if architecture.shapes() == found:  # with the usual width there is nothing to look for
        return architecture
    position = bisect_left(_WIDTHS, 0, key=larger_ones)
    estimate = _WIDTHS[min(position, len(_WIDTHS) - 1)]
    nearby = [candidate(step) for step in _round_numbers(estimate)]
    fitting = (each for each in nearby if each.shapes() == found)
    return next(fitting, None) or min(nearby, key=lambda each: len(misfits(each.shapes(), found)))


def _round_numbers(estimate: int) -> Iterator[int]:
    """Give the round numbers near an estimate, the roundest first: not every layer grows steadily with the width."""
    for unit in _ROUND:
        middle = round(estimate / unit)
        yield from (unit * factor for factor in (middle, middle - 1, middle + 1) if factor > 0)
