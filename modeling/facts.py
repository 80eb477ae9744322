"""What must be known about a network, besides its weights, to build it, feed it and read its answers."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from modeling.attention import ATTENTION
from modeling.command import InputError
from modeling.network import NETWORKS, require_size

if TYPE_CHECKING:
    from torch import nn

# Red, green, blue, of pixels between 0 and 1, over ImageNet; by custom other photographs are normalised by them too.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MOST_SIDE = 100_000  # pixels: the numbers of far more overflow
MOST_WIDTH = 10.0  # a hundred times the weights; far wider networks fit into no machine's memory


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts of one trained network.

    Attributes:
        classes: Labels in the order of the outputs.
        size: Height and width of the input, in pixels.
        network: A name in `network.NETWORKS`; older files say none, and mean MobileNetV2.
        width: The network's width multiplier, in (0, 10].
        attention: A name in `attention.ATTENTION`.
        enlargement: How many times larger, along each side, the network sees the input. Images of few pixels need it:
            the network's last activations have a thirty-second of what it sees along each side.
        crop_fraction: Share of the shorter side that the centre crop keeps, in (0, 1].
        mean: What is subtracted from red, green and blue between 0 and 1.
        std: What they are divided by then.
        temperature: What logits are divided by before the softmax, for probabilities that are what they say.
        accuracy: Share of right answers on `accuracy_images` images that were not trained on, or None if not measured.
        accuracy_images: How many images those were.
        calibration_error: Expected calibration error on `calibration_images` images that the temperature was not fitted
            to, or None if not measured.
        calibration_images: How many images those were.
        recipe: How it was trained, or None if not known.
    """

    classes: tuple[str, ...]
    size: int
    network: str = "mobilenetv2"
    width: float = 1.0
    attention: str = "ca"
    enlargement: int = 1
    crop_fraction: float = 1.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    temperature: float = 1.0
    accuracy: float | None = None
    accuracy_images: int | None = None
    calibration_error: float | None = None
    calibration_images: int | None = None
    recipe: dict[str, object] | None = None

    def __post_init__(self) -> None:
        seen = _number(self.size) * _number(self.enlargement)
        requirements = {
            f"network {self.network!r} is not one of {', '.join(NETWORKS)}": self.network in NETWORKS,
            f"attention {self.attention!r} is not one of {', '.join(ATTENTION)}": self.attention in ATTENTION,
            "classes must be names of one line each, in UTF-8, at least one": _are_names(self.classes),
            "size must be a whole number of at least 1": _is_count(self.size),
            "enlargement must be a whole number of at least 1": _is_count(self.enlargement),
            f"size times enlargement must be at most {MOST_SIDE}": seen <= MOST_SIDE,
            f"width must be positive and at most {MOST_WIDTH:g}": 0 < _number(self.width) <= MOST_WIDTH,
            "crop fraction must be positive and at most 1": 0 < _number(self.crop_fraction) <= 1,
            "temperature must be positive and finite": _number(self.temperature) > 0,
            "mean must have a finite number for each of red, green and blue": (
                len(self.mean) == len(IMAGENET_MEAN) and not any(math.isnan(_number(each)) for each in self.mean)
            ),
            "std must have a positive and finite number for each of red, green and blue": (
                len(self.std) == len(IMAGENET_STD) and all(_number(each) > 0 for each in self.std)
            ),
            "recipe must be settings by name": isinstance(self.recipe, dict | None),
        }
        for requirement, holds in requirements.items():
            if not holds:
                raise InputError(requirement)
        require_size(self.network, self.size * self.enlargement)

    def build(self) -> nn.Module:
        """Build the network that these facts describe, with fresh weights."""
        return NETWORKS[self.network](len(self.classes), self.width, self.attention)

    def resized(self, size: int) -> ModelFacts:
        """Return the facts of the same network for images of another size, for which nothing was measured.

        Raises:
            InputError: The network cannot see images of that size.
        """
        return self if size == self.size else replace(self.unmeasured(), size=size)

    def unmeasured(self) -> ModelFacts:
        """Return the facts without what was measured."""
        return replace(self, accuracy=None, accuracy_images=None, calibration_error=None, calibration_images=None)

    def to_json(self) -> str:
        """Write the facts as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> ModelFacts:
        """Read what `to_json` wrote.

        Raises:
            InputError: It is something else.
        """
        try:
            fields = json.loads(text)
            lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
            return cls(**{**fields, **lists})
        except (AttributeError, RecursionError, TypeError, ValueError) as error:
            raise InputError(f"the facts stored with the weights cannot be used ({error})") from None


def _are_names(classes: object) -> bool:
    return isinstance(classes, tuple) and bool(classes) and all(_is_line(name) for name in classes)


def _is_line(name: object) -> bool:
    """Tell whether this can be a line of its own among the labels that a server reads."""
    return isinstance(name, str) and name.splitlines() == [name] and not any(map(_is_surrogate, name))


def _is_surrogate(character: str) -> bool:
    """Tell whether it stands for a byte of a file name that is no UTF-8: it cannot be written."""
    return "\ud800" <= character <= "\udfff"


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _number(value: object) -> float:
    """Return a finite number as it is, and for anything else the one that is within no limits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > sys.float_info.max:
        return math.nan
    return value
