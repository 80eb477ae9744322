"""`python -m modeling.train`: train a classifier, on CIFAR-10 if nothing else is given."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from modeling.attention import ATTENTION
from modeling.command import InputError, Parser, positive, run
from modeling.distillation import Teachers
from modeling.facts import ModelFacts
from modeling.network import NETWORKS, require_size
from modeling.recipe import Recipe
from modeling.run_file import SOURCES
from modeling.servable import Precision
from modeling.training import Trainer
from modeling.training_options import add_options, chosen_device, data_settings, read_data
from modeling.training_run import TrainingRun, read_saved_run, refuse_to_overwrite
from modeling.weights import read_weights

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from torch import Tensor

PROGRAM = "python -m modeling.train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: train(options))


def train(options: Namespace) -> int:
    """Train as the options say; leave the run, the model and its curve in the output folder."""
    refuse_to_overwrite(options.output, resume=options.resume)
    recipe = _recipe(options)
    require_size(options.network, min(recipe.sizes))
    device = chosen_device(options)
    training, test = read_data(options)
    given = {name: getattr(options, name) for name in ("network", "width", "attention", "enlargement", "crop_fraction")}
    served = ModelFacts(training.classes, _served_size(recipe, options.enlargement), **given)
    settings = {**asdict(recipe), **given, "weights": options.weights, "teachers": options.teachers}
    settings |= data_settings(options, training, test)
    if max(recipe.sizes) > served.size:  # only such views differ from those of runs from before there was a choice
        settings["views"] = "as served"
    teachers = None
    if options.teachers:
        teachers = Teachers(options.teachers, served.classes, Precision(recipe.precision), device)
        settings["teachers_weights"] = teachers.fingerprint
    saved = read_saved_run(options.output, settings, resume=options.resume)
    if saved:
        settings |= saved.sources
    facts = replace(served, recipe={name: settings[name] for name in (*asdict(recipe), *SOURCES)})
    start = _start(options.weights, facts) if options.weights and not saved else None
    trainer = Trainer(facts, *training.decode(facts.size, facts.crop_fraction), recipe, start, teachers, device)
    return TrainingRun(options.output, trainer, facts, settings, saved).carry_out(test, device)


def _recipe(options: Namespace) -> Recipe:
    """Return the recipe that is asked for.

    Raises:
        InputError: It cannot be, or says how to learn from teachers where there are none.
    """
    given = {field.name: value for field in fields(Recipe) if (value := getattr(options, field.name)) is not None}
    for name in ("teacher_share", "teacher_temperature"):
        if name in given and not options.teachers:
            raise InputError(f"{_option(name)} is for --teachers FILE ...")
    return Recipe(**given)


def _start(source: str, facts: ModelFacts) -> dict[str, Tensor]:
    """Return weights to start from, without the classifier unless it is known to be for the same classes."""
    state, known = read_weights(source)
    whole = known is not None and known.classes == facts.classes
    return {name: tensor for name, tensor in state.items() if whole or not name.startswith("classifier.")}


def _served_size(recipe: Recipe, enlargement: int) -> int:
    """Return the size of the images that callers send: the last one that the network sees, before the enlargement."""
    size, rest = divmod(recipe.sizes[-1], enlargement)
    if rest:
        raise InputError(f"the last size, {recipe.sizes[-1]}, is not a multiple of the enlargement, {enlargement}")
    return size


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Train a classifier. Ctrl-C stops after the current step and loses nothing.")
    add_options(parser, "runs/cifar10")
    parser.add_argument("--network", choices=NETWORKS, default="mobilenetv2", help="the network")
    parser.add_argument("--attention", choices=ATTENTION, default="ca", help="attention in the network's blocks")
    parser.add_argument("--width", type=float, default=1.0, help="multiplies the network's channels")
    parser.add_argument(
        "--enlargement", type=positive, default=1, help="how many times larger, per side, the network sees its input"
    )
    parser.add_argument(
        "--crop-fraction", type=float, default=1.0, help="share of the shorter side that the crop keeps"
    )
    parser.add_argument("--weights", help="weights to start from: bundled, imagenet or a file (without: fresh ones)")
    parser.add_argument("--teachers", nargs="+", help="weights of trained networks to learn from, likewise")
    for field in fields(Recipe):
        _add_setting(parser, field.name, field.default, **field.metadata)
    return parser


def _add_setting(parser: Parser, name: str, default: Any, *, help: str, choices: tuple[str, ...] | None) -> None:  # noqa: A002 - argparse's word
    """Add an option that is None unless it is given."""
    kind, usual = (_sizes, ",".join(map(str, default))) if isinstance(default, tuple) else (type(default), default)
    parser.add_argument(_option(name), type=kind, choices=choices, help=f"{help} (default: {usual})")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
