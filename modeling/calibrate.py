"""`python -m modeling.calibrate`: give trained weights the temperature under which their probabilities are right."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imaging.evaluation import CALIBRATION_BINS
from modeling.calibration import fit_temperature, logits_of, measure_calibration
from modeling.checkpoint import SUFFIX, as_stored, load_strictly, save_checkpoint
from modeling.command import InputError, Parser, positive, run, seed
from modeling.servable import Servable
from modeling.sources import CIFAR10, read_test_images
from modeling.weights import load_weights, read_labels, read_weights

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

PROGRAM = "python -m modeling.calibrate"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: calibrate(options))


def calibrate(options: Namespace) -> int:
    """Fit the temperature to one half of each class's images, measure it on the other, and write the weights."""
    output = options.output or Path(options.model)
    if output.suffix != SUFFIX:
        raise InputError(f"{output} is no {SUFFIX} file, which alone holds a temperature: give --output FILE{SUFFIX}")
    if options.output is None and read_weights(options.model)[1] is None:
        raise InputError(f"{output} comes from elsewhere and would not stay as it is: give --output FILE{SUFFIX}")
    labels = read_labels(options.labels) if options.labels else None
    network, facts = load_weights(options.model, labels, options.size)
    load_strictly(network, as_stored(network.state_dict()))  # what is measured is what is written
    images = read_test_images(options.data)
    servable = Servable(network, facts)
    halves = [half.with_classes(facts.classes) for half in images.hold_out(0.5, options.seed)]
    (fitted, fitted_labels), (others, other_labels) = [half.decode(facts.size, facts.crop_fraction) for half in halves]
    count, other_count = len(fitted_labels), len(other_labels)
    temperature = fit_temperature(logits_of(servable, fitted, options.batch_size), fitted_labels)
    logits = logits_of(servable, others, options.batch_size)
    before = measure_calibration(logits, other_labels, facts.temperature)
    after = measure_calibration(logits, other_labels, temperature)
    calibrated = replace(facts, temperature=temperature, calibration_error=after.error, calibration_images=other_count)
    save_checkpoint(output, network.state_dict(), calibrated)
    sys.stdout.write(
        f"{output}: temperature {temperature:.4f}, fitted to {count} images; on {other_count} others\n"
        f"ECE  {before.error:.4f} before, {after.error:.4f} after ({CALIBRATION_BINS} bins)\n"
        f"NLL  {before.likelihood_loss:.4f} before, {after.likelihood_loss:.4f} after\n"
    )
    return 0


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Fit the temperature of a model's probabilities to labelled images.")
    add = parser.add_argument
    add("model", help="a file of weights, bundled, or imagenet")
    add(
        "--data",
        default=CIFAR10,
        help="images not trained on: a folder of class folders, a packed .npz file, or cifar10",
    )
    add("--output", type=Path, help=f"where to write the weights, a {SUFFIX} file (without: where they were)")
    add("--labels", type=Path, help="file with one label a line, in place of the weights' own")
    add("--size", type=positive, help="height and width of the input in pixels (without: the weights' own)")
    add("--seed", type=seed, default=1, help="decides which half of the images the temperature is fitted to")
    add("--batch-size", type=positive, default=64, help="images at once")
    return parser


if __name__ == "__main__":
    sys.exit(main())
