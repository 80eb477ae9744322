"""Facts say which network weights are for, also those from before there was a choice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modeling.checkpoint import load_checkpoint
from modeling.command import InputError
from modeling.facts import ModelFacts
from modeling.network import Airbench, MobileNetV2, MobileNeXt, ShuffleNetV2
from modeling.weights import BUNDLED_FILE

if TYPE_CHECKING:
    from torch import nn


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("mobilenetv2", MobileNetV2),
        ("mobilenext", MobileNeXt),
        ("shufflenetv2", ShuffleNetV2),
        ("airbench", Airbench),
    ],
)
def test_network(network: str, kind: type[nn.Module]) -> None:
    """The network that is named is built, with the attention and the classes that are named."""
    facts = ModelFacts(("a", "b"), 32, network=network, width=0.1, attention="simam")
    built = ModelFacts.from_json(facts.to_json()).build()

    assert type(built) is kind
    assert "SimAM" in {type(module).__name__ for module in built.modules()}


def test_older_facts() -> None:
    """Facts that name no network are MobileNetV2's, which saw its input as it came and was not calibrated."""
    fields = json.loads(ModelFacts(("a", "b"), 32).to_json())
    for name in ("network", "enlargement", "temperature", "calibration_error", "calibration_images"):
        del fields[name]

    facts = ModelFacts.from_json(json.dumps(fields))
    assert facts == ModelFacts(("a", "b"), 32)
    assert (facts.enlargement, facts.temperature) == (1, 1.0)
    assert type(facts.build()) is MobileNetV2


def test_bundled_names() -> None:
    """The bundled file's names are the network's."""
    state, facts = load_checkpoint(BUNDLED_FILE)

    assert facts is not None
    assert facts.build().state_dict().keys() == state.keys()


def test_another_size() -> None:
    """What was measured at one size is not said of another; all else is."""
    known = ModelFacts(("a", "b"), 32, temperature=1.5, recipe={"epochs": 2})
    measured = replace(known, accuracy=0.9, accuracy_images=10, calibration_error=0.1, calibration_images=5)

    assert measured.resized(32) == measured
    assert measured.resized(48) == replace(known, size=48)


@pytest.mark.parametrize("width", [0.0, -1.0, 10.1, 1e300, float("inf"), math.nan])
def test_impossible_widths(width: float) -> None:
    """A width of which no network can be built is refused."""
    with pytest.raises(InputError, match="width must be positive and at most 10"):
        ModelFacts(("a", "b"), 32, width=width)


@pytest.mark.parametrize(("field", "value"), [("network", "resnet"), ("attention", "magic")])
def test_unknown_names(field: str, value: str) -> None:
    """A name that is not in the registry is refused, with those that are."""
    text = json.dumps({"classes": ["a", "b"], "size": 32, "mean": [0, 0, 0], "std": [1, 1, 1], field: value})

    with pytest.raises(InputError, match=f"{field} '{value}' is not one of .*, "):
        ModelFacts.from_json(text)


def test_sizes_of_no_kind() -> None:
    """What is no size is not multiplied by whatever else there is."""
    fields = json.loads(ModelFacts(("a", "b"), 32).to_json())

    for size in ("a", None):
        with pytest.raises(InputError, match="size must be a whole number"):
            ModelFacts.from_json(json.dumps({**fields, "size": size, "enlargement": 10**30}))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("classes", "cat", "classes must be names"),
        ("classes", ["cat", ""], "classes must be names of one line each"),
        ("classes", ["cat\n", "dog\n"], "classes must be names of one line each"),
        ("classes", ["a cat\u2028or a dog", "b"], "classes must be names of one line each"),
        ("classes", ["caf\udce9", "b"], "classes must be names of one line each"),
        ("size", 100_001, "size times enlargement must be at most 100000"),
        ("enlargement", 10**30, "size times enlargement must be at most 100000"),
        ("classes", [], "classes must be names of one line each, in UTF-8, at least one"),
        ("classes", [1, 2], "classes must be names"),
        ("size", 32.0, "size must be a whole number"),
        ("enlargement", True, "enlargement must be a whole number"),
        ("width", "1", "width must be positive"),
        ("crop_fraction", None, "crop fraction must be positive"),
        ("temperature", math.inf, "temperature must be positive and finite"),
        ("mean", [0, 0, math.nan], "mean must have a finite number"),
        ("mean", "red", "mean must have a finite number"),
        ("std", [1, 1, 0], "std must have a positive and finite number"),
        ("std", [1, 1], "std must have a positive and finite number"),
        ("recipe", [1], "recipe must be settings"),
        ("colour", "red", "colour"),
    ],
)
def test_wrong_kinds(field: str, value: object, message: str) -> None:
    """A fact that is none of its kind is refused, also where Python could go on with it."""
    fields = json.loads(ModelFacts(("a", "b"), 32).to_json())

    with pytest.raises(InputError, match=message):
        ModelFacts.from_json(json.dumps({**fields, field: value}))
