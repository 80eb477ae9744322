"""`python -m modeling.teach`: train a teacher for images of few pixels, see `modeling.quick_training`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from modeling.attention import ATTENTION
from modeling.command import Parser, positive, run, seed
from modeling.facts import ModelFacts
from modeling.quick_training import BATCH_SIZE, MEAN, STD, QuickTrainer
from modeling.servable import Precision
from modeling.training_options import add_options, chosen_device, data_settings, read_data
from modeling.training_run import TrainingRun, read_saved_run, refuse_to_overwrite

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

PROGRAM = "python -m modeling.teach"
_DESCRIPTION = "Train a teacher for images of few pixels. Ctrl-C stops after the current step and loses nothing."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: teach(options))


def teach(options: Namespace) -> int:
    """Train as the options say; leave the run, the model and its curve in the output folder."""
    refuse_to_overwrite(options.output, resume=options.resume)
    device = chosen_device(options)
    training, test = read_data(options)
    network = {"network": "airbench", "width": options.width, "attention": options.attention}
    recipe = {"epochs": options.epochs, "precision": options.precision.value, "seed": options.seed}
    recipe |= {"method": "quick_training", "batch_size": BATCH_SIZE}
    facts = ModelFacts(training.classes, options.size, mean=MEAN, std=STD, recipe=recipe, **network)
    settings = {**recipe, **network, "size": options.size, **data_settings(options, training, test)}
    saved = read_saved_run(options.output, settings, resume=options.resume)
    trainer = QuickTrainer(
        facts,
        *training.decode(facts.size, facts.crop_fraction),
        options.epochs,
        bf16=options.precision is Precision.BF16,
        seed=options.seed,
        device=device,
    )
    return TrainingRun(options.output, trainer, facts, settings, saved).carry_out(test, device)


def _parser() -> Parser:
    parser = Parser(PROGRAM, _DESCRIPTION)
    add_options(parser, "runs/teacher")
    parser.add_argument("--size", type=positive, default=32, help="height and width of the images, in pixels")
    parser.add_argument("--width", type=float, default=1.0, help="multiplies the network's channels")
    parser.add_argument("--attention", choices=ATTENTION, default="none", help="attention in the network's blocks")
    parser.add_argument("--epochs", type=positive, default=16, help="passes over the training images")
    parser.add_argument(
        "--precision",
        type=Precision,
        choices=list(Precision),
        default=Precision.FP32,
        help="what convolutions compute in; bf16 is for processors that have it",
    )
    parser.add_argument("--seed", type=seed, default=0, help="decides everything that is random")
    return parser


if __name__ == "__main__":
    sys.exit(main())
