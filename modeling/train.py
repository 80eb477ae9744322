"""`python -m modeling.train`: train a classifier, on CIFAR-10 if nothing else is given."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from modeling.attention import ATTENTION
from modeling.checkpoint import as_stored, load_strictly, save_checkpoint
from modeling.command import INTERRUPTED, InputError, Parser, positive, run
from modeling.distillation import Teachers
from modeling.evaluation import measure_accuracy
from modeling.facts import ModelFacts
from modeling.files import replacing
from modeling.interruption import interruption
from modeling.network import NETWORKS
from modeling.recipe import Recipe
from modeling.run_file import read_run, save_run
from modeling.servable import Precision, Servable
from modeling.sources import CIFAR10, read_cifar10, read_images
from modeling.training import PROCESSOR, Trainer
from modeling.weights import read_weights

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from threading import Event

    from torch import Tensor

    from modeling.dataset import DataSet

PROGRAM = "python -m modeling.train"
RUN_FILE = "run.pth"
MODEL_FILE = "model.safetensors"
CURVE_FILE = "curve.csv"
AUTO, CUDA = "auto", "cuda"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: train(options))


def train(options: Namespace) -> int:
    """Train as the options say; leave the run, the model and its curve in the output folder."""
    run_path, model_path = options.output / RUN_FILE, options.output / MODEL_FILE
    if run_path.exists() and not options.resume:
        raise InputError(f"{options.output} holds a run already; go on with --resume or give another --output")
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    device = _device(options.device)
    training, test = _read_data(options)
    given = {name: getattr(options, name) for name in ("network", "width", "attention", "enlargement", "crop_fraction")}
    facts = ModelFacts(
        training.classes,
        _served_size(recipe, options.enlargement),
        **given,
        recipe={**asdict(recipe), "weights": options.weights, "teachers": options.teachers},
    )
    data = {"images": len(training.labels), "classes": list(training.classes)}
    settings = {**asdict(recipe), **given, "weights": options.weights, "teachers": options.teachers, **data}
    if max(recipe.sizes) > facts.size:  # only such views differ from those of runs from before there was a choice
        settings["views"] = "as served"
    saved = read_run(run_path, settings) if options.resume else None
    teachers = (
        Teachers(options.teachers, facts.classes, Precision(recipe.precision), device) if options.teachers else None
    )
    start = _start(options.weights, facts) if options.weights and not saved else None
    trainer = Trainer(facts, *training.decode(facts.size, facts.crop_fraction), recipe, start, teachers, device)
    if saved:
        saved.restore(trainer)
    measured = saved.measured if saved else True
    if trainer.step == trainer.steps and measured:
        raise InputError(f"the run in {options.output} is finished; its model is {model_path}")
    test_images = [each.to(device) for each in test.decode(facts.size, facts.crop_fraction)]
    save_run(run_path, trainer, settings, measured=measured)  # from now on the folder holds a run
    with interruption() as stop:
        while trainer.step < trainer.steps or not measured:
            if stop.is_set():
                sys.stderr.write(f"stopped after step {trainer.step} of {trainer.steps}; --resume goes on from there\n")
                return INTERRUPTED
            if measured:
                measured = not _train_epoch(trainer, stop)
            else:
                _measure_epoch(options.output, trainer, facts, *test_images)
                measured = True
            # After each, so that a run which is killed does no more than one of them again.
            save_run(run_path, trainer, settings, measured=measured)
    _say(f"wrote {model_path}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _train_epoch(trainer: Trainer, stop: Event) -> bool:
    """Train to the end of the current epoch, or until it is to stop; return whether this was its end."""
    epoch, done = divmod(trainer.step, trainer.steps_per_epoch)
    label = f"epoch {epoch + 1}/{trainer.recipe.epochs}"
    with tqdm(total=trainer.steps_per_epoch, initial=done, desc=label, unit="step", disable=None) as bar:
        for _ in range(done, trainer.steps_per_epoch):
            if stop.is_set():
                return False
            size = trainer.size
            loss = trainer.train_step()
            bar.set_postfix(loss=f"{loss:.3f}", size=size, refresh=False)
            bar.update()
    return True


def _measure_epoch(output: Path, trainer: Trainer, facts: ModelFacts, pixels: Tensor, labels: Tensor) -> None:
    """Save the model of the epoch that ended, and tell how good it is."""
    accuracy = _save_model(output / MODEL_FILE, trainer, facts, pixels, labels)
    epoch = trainer.step // trainer.steps_per_epoch
    _extend_curve(output / CURVE_FILE, epoch, trainer.size_of_epoch(epoch - 1), accuracy)
    _say(f"epoch {epoch}/{trainer.recipe.epochs}: top-1 {accuracy:.2%} of {len(labels)} images")


def _save_model(path: Path, trainer: Trainer, facts: ModelFacts, pixels: Tensor, labels: Tensor) -> float:
    """Save the averaged weights with their accuracy, measured in the precision that is saved."""
    state = {name: tensor.cpu() for name, tensor in trainer.average.state_dict().items()}
    network = facts.build()
    load_strictly(network, as_stored(state))
    accuracy = measure_accuracy(Servable(network, facts).to(pixels.device), pixels, labels)
    save_checkpoint(path, state, replace(facts, accuracy=accuracy, accuracy_images=len(labels)))
    return accuracy


def _extend_curve(path: Path, epoch: int, size: int, accuracy: float) -> None:
    """Add what an epoch, counted from 1, came to; what a run says of it or of later ones from before is replaced."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
        earlier = [line for line in lines if int(line.partition(",")[0]) < epoch]
    except ValueError:
        raise InputError(f"{path} is not the curve of a run; move it away and go on with --resume") from None
    text = "\n".join(["epoch,size,accuracy", *earlier, f"{epoch},{size},{accuracy:.4f}", ""])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _device(name: str) -> torch.device:
    """Return where to train."""
    if name == CUDA and not torch.cuda.is_available():
        raise InputError("PyTorch finds no GPU here: give --device cpu")
    if name == AUTO:
        name = CUDA if torch.cuda.is_available() else PROCESSOR.type
    return torch.device(name)


def _start(source: str, facts: ModelFacts) -> dict[str, Tensor]:
    """Return weights to start from, without the classifier unless it is known to be for the same classes."""
    state, known = read_weights(source)
    whole = known is not None and known.classes == facts.classes
    return {name: tensor for name, tensor in state.items() if whole or not name.startswith("classifier.")}


def _read_data(options: Namespace) -> tuple[DataSet, DataSet]:
    """Return the images to train on and those to test with."""
    if options.data == CIFAR10:
        training, test = read_cifar10()
    else:
        training, test = read_images(Path(options.data)), None
    if options.test_data is not None:
        test = read_images(options.test_data).with_classes(training.classes)
    return (training, test) if test else training.hold_out(options.held_out_share, options.seed)


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
    sources = "a folder of class folders, or a packed .npz file"
    parser.add_argument("--data", default=CIFAR10, help=f"{sources}, or cifar10; held in memory at the served size")
    parser.add_argument("--test-data", type=Path, help=f"images to test with: {sources} (cifar10 has its own)")
    parser.add_argument(
        "--held-out-share", type=float, default=0.1, help="... or, without them, this share of each class"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/cifar10"), help="folder for the run and the model")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output, given the same options")
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
    parser.add_argument(
        "--device", choices=(AUTO, PROCESSOR.type, CUDA), default=AUTO, help="where; auto is a GPU if there is one"
    )
    for field in fields(Recipe):
        _add_setting(parser, field.name, field.default, **field.metadata)
    return parser


def _add_setting(parser: Parser, name: str, default: Any, *, help: str, choices: tuple[str, ...] | None) -> None:  # noqa: A002 - argparse's word
    option = "--" + name.replace("_", "-")
    if isinstance(default, tuple):
        parser.add_argument(option, type=_sizes, default=",".join(map(str, default)), help=help)
    else:
        parser.add_argument(option, type=type(default), default=default, choices=choices, help=help)


if __name__ == "__main__":
    sys.exit(main())
