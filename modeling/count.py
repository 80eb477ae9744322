"""`python -m modeling.count`: parameters and multiply-adds of the networks with each kind of attention."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch

from modeling.attention import ATTENTION
from modeling.command import InputError, Parser, positive, positive_number, run
from modeling.counting import count_multiply_adds, count_parameters
from modeling.facts import MOST_SIDE, MOST_WIDTH
from modeling.network import NETWORKS, require_size

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

PROGRAM = "python -m modeling.count"
_MOST_CLASSES = 100_000  # the numbers of far more overflow


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: count(options))


def count(options: Namespace) -> int:
    """Print one line for each network and kind of attention that was asked for."""
    for name, most in {"width": MOST_WIDTH, "size": MOST_SIDE, "classes": _MOST_CLASSES}.items():
        if getattr(options, name) > most:
            raise InputError(f"{name} must be at most {most:g}, got {getattr(options, name):g}")
    for network in options.network:
        require_size(network, options.size)
    sys.stdout.write(f"{'network':<14}{'attention':<11}{'parameters':>12}{'M-Adds':>15}\n")
    for network in options.network:
        for attention in options.attention:
            with torch.device("meta"):  # shapes without weights
                built = NETWORKS[network](options.classes, options.width, attention)
            parameters, multiply_adds = count_parameters(built), count_multiply_adds(built, options.size)
            sys.stdout.write(f"{network:<14}{attention:<11}{parameters:>12,}{multiply_adds:>15,}\n")
    return 0


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Count parameters and multiply-adds of one image.")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="which networks")
    parser.add_argument("--attention", nargs="+", choices=ATTENTION, default=list(ATTENTION), help="... with which")
    parser.add_argument("--width", type=positive_number, default=1.0, help="multiplies the networks' channels")
    parser.add_argument("--size", type=positive, default=224, help="height and width of the image in pixels")
    parser.add_argument("--classes", type=positive, default=1000, help="number of classes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
