"""`python -m modeling.evaluate`: how often trained weights, or an exported model, are right on labelled images."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imaging.evaluation_report import as_object, as_text
from modeling.command import InputError, Parser, positive, run
from modeling.evaluation import evaluate
from modeling.model_format import ModelFormat
from modeling.onnx_model import load_onnx
from modeling.servable import Servable
from modeling.sources import CIFAR10, read_test_images
from modeling.torchscript import is_torchscript, load_torchscript
from modeling.weights import BUNDLED, load_weights, read_labels

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from modeling.facts import ModelFacts
    from modeling.servable import InputForm

PROGRAM = "python -m modeling.evaluate"
_ONNX_SUFFIX = Path(ModelFormat.ONNX.file_name).suffix


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: measure(options))


def measure(options: Namespace) -> int:
    """Print how often the model is right on all images, decoded and cut as a server does it."""
    model, facts = _load(options.model, read_labels(options.labels) if options.labels else None, options.size)
    images = read_test_images(options.data).with_classes(facts.classes)
    started = time.monotonic()
    evaluation = evaluate(model, facts, images, options.batch_size)
    seconds = time.monotonic() - started
    if options.json:
        heading = {"model": options.model, "version": None, "data": images.name}
        text = json.dumps(heading | as_object(evaluation, seconds) | {"failures": []}) + "\n"
    else:
        text = f"{options.model}, {images.name}\n{as_text(evaluation, seconds)}"
    sys.stdout.write(text)
    return 0


def _load(
    model: str, labels: tuple[str, ...] | None, size: int | None
) -> tuple[Callable[[Tensor], Tensor], ModelFacts]:
    """Return a function from decoded pixels to probabilities, and the facts of what is behind it."""
    load_exported = _loader(Path(model))
    if load_exported is None:
        network, facts = load_weights(model, labels, size)
        return Servable(network, facts), facts
    if labels is not None or size is not None:
        raise InputError("--labels and --size are for weights; an exported model knows its own")
    exported, facts, form = load_exported(Path(model))
    return lambda pixels: exported(form.from_pixels(pixels)), facts


def _loader(path: Path) -> Callable[[Path], tuple[Callable[[Tensor], Tensor], ModelFacts, InputForm]] | None:
    """Return what reads a file if it is an exported model, in either format."""
    if is_torchscript(path):
        return load_torchscript
    return load_onnx if path.suffix == _ONNX_SUFFIX else None  # nothing in an ONNX file says that it is one


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Measure how often a model is right.")
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        default=BUNDLED,
        help="an exported model.pt or model.onnx, a file of weights, bundled, or imagenet",
    )
    add("--data", default=CIFAR10, help="a folder of class folders, a packed .npz file, or cifar10")
    add("--labels", type=Path, help="file with one label a line, in place of the weights' own")
    add("--size", type=positive, help="height and width of the input in pixels (without: the weights' own)")
    add("--batch-size", type=positive, default=64, help="images at once")
    add("--json", action="store_true", help="one JSON object, as python -m client evaluate prints it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
