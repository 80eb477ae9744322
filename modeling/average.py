"""`python -m modeling.average`: the mean of the weights of several runs, which is often better than any of them.

Runs that began at the same weights end so near each other that what lies between them is good, too: Wortsman et al.,
"Model soups", ICML 2022.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modeling.checkpoint import SUFFIX, as_stored, load_strictly, save_checkpoint
from modeling.command import InputError, Parser, run
from modeling.evaluation import measure_accuracy
from modeling.servable import Servable
from modeling.sources import CIFAR10, read_test_images
from modeling.weights import load_weights

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from torch import Tensor, nn

    from modeling.facts import ModelFacts

PROGRAM = "python -m modeling.average"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: average(options))


def average(options: Namespace) -> int:
    """Average the weights, measure what came of it, and write it."""
    if options.output.suffix != SUFFIX:
        raise InputError(f"{options.output} is no {SUFFIX} file")
    networks, facts = zip(*(load_weights(source) for source in options.models), strict=True)
    for source, other in zip(options.models, facts, strict=True):
        if _unmeasured(other) != _unmeasured(facts[0]):
            raise InputError(f"{source} and {options.models[0]} are different networks, or see images differently")
    state = as_stored(_mean([network.state_dict() for network in networks]))  # what is measured is what is written
    network: nn.Module = networks[0]
    load_strictly(network, state)
    images = read_test_images(options.data).with_classes(facts[0].classes)
    pixels, labels = images.decode(facts[0].size, facts[0].crop_fraction)
    accuracy = measure_accuracy(Servable(network, facts[0]), pixels, labels)
    recipe: dict[str, object] = {"average of": [each.recipe for each in facts]}
    averaged = replace(_unmeasured(facts[0]), accuracy=accuracy, accuracy_images=len(labels), recipe=recipe)
    save_checkpoint(options.output, state, averaged)
    sys.stdout.write(f"{options.output}: top-1 {accuracy:.2%} of {len(labels)} images\n")
    return 0


def _unmeasured(facts: ModelFacts) -> ModelFacts:
    """What a network is and how it sees images, without what was found out about its weights."""
    return replace(facts.unmeasured(), temperature=1.0, recipe=None)


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor, but of counters the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Average the weights of runs that began at the same weights.")
    add = parser.add_argument
    add("models", nargs="+", help="files of weights, or bundled")
    add("--output", type=Path, required=True, help=f"where to write the average, a {SUFFIX} file")
    add("--data", default=CIFAR10, help="images to measure it with: a folder of class folders, a .npz file, or cifar10")
    return parser


if __name__ == "__main__":
    sys.exit(main())
