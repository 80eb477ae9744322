"""`python -m modeling.export`: write a model into a model repository, for this project's server or Triton."""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modeling.command import InputError, run
from modeling.comparison import ExportError, largest_difference
from modeling.ensemble import decoder_name, ensemble_files
from modeling.export_options import export_parser, fresh
from modeling.files import place
from modeling.model_config import Serving, model_config, warm_sizes
from modeling.model_format import ModelFormat
from modeling.servable import InputForm, Precision, Servable
from modeling.training_run import MODEL_FILE
from modeling.weights import BUNDLED, IMAGENET, load_weights, read_labels
from modeling.writers import WRITERS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from torch import nn

    from modeling.facts import ModelFacts

PROGRAM = "python -m modeling.export"
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
DEFAULT_ENSEMBLES = {BUNDLED: "classify_image", IMAGENET: "classify_imagenet"}
DEFAULT_NAMES = {BUNDLED: "ca_mobilenetv2", IMAGENET: "ca_mobilenetv2_imagenet"}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a model goes in a repository.

    Attributes:
        repository: The model repository.
        name: The model's folder in it.
        version: The folder in that.
    """

    repository: Path
    name: str
    version: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"{self.name!r} is no name for a model: take letters, digits, '_', '-' and '.', say with --name"
            )

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.repository / self.name

    def model_file(self, model_format: ModelFormat = ModelFormat.TORCHSCRIPT) -> Path:
        """Return the path of the model's file."""
        return self.folder / str(self.version) / model_format.file_name


def export_model(
    network: nn.Module,
    facts: ModelFacts,
    destination: Destination,
    serving: Serving = Serving(),  # noqa: B008 - it never changes
    ensemble: str = "",
) -> float:
    """Write the module, `labels.txt` and `config.pbtxt` once the module has passed its check: all of them, or none.

    With the name of an ensemble, write that, too: it takes encoded images for the network, and has a step that decodes.

    Returns:
        The largest difference of a probability from the network's own, at any of the batch sizes that are warmed up.

    Raises:
        ExportError: The module that would have been written does not compute what the network computes.
        OSError: A file cannot be written.
    """
    labels = "".join(f"{label}\n" for label in facts.classes).encode()
    config = model_config(destination.name, facts, serving).encode()
    servable = Servable(network, facts, serving.form, serving.precision)
    reference = Servable(network, facts, serving.form)
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / serving.format.file_name
        exported = WRITERS[serving.format](servable, facts, staged)
        sizes, tolerance = warm_sizes(serving.max_batch_size), serving.precision.tolerance
        difference = largest_difference(reference, exported, serving.form, facts.size, sizes, tolerance)
        module = staged.read_bytes()
    # A server that looks at the repository in between finds the module before the config that announces it.
    files = [(destination.model_file(serving.format), module)]
    files += [(destination.folder / "labels.txt", labels), (destination.folder / "config.pbtxt", config)]
    if ensemble:
        around = ensemble_files(ensemble, destination.name, facts, serving.form, serving.max_batch_size)
        files += [(destination.repository / path, content) for path, content in around]
    place(files)
    return difference


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = export_parser(PROGRAM).parse_args(arguments)
    torch.set_num_threads(1)  # several would mostly wait for each other: these are many short computations
    return run(PROGRAM, lambda: export(options))


def export(options: Namespace) -> int:
    """Export as the options say."""
    model_format = ModelFormat(options.format)
    made = fresh(options)
    usual = made.name if made else _name_of(options.weights)
    name = _beside(usual, model_format) if options.name is None else options.name
    destination = Destination(options.model_repository, name, options.version)
    labels = read_labels(options.labels) if options.labels else None
    network, facts = made.build(labels) if made else load_weights(options.weights, labels)
    if options.size:
        facts = facts.resized(options.size)
    ensemble = _ensemble_name(options, destination)
    form, precision = InputForm(options.input), Precision(options.precision)
    if (model_format, precision) == (ModelFormat.ONNX, Precision.BF16):
        raise InputError("ONNX models are written in fp32 only: leave out --precision or --format")
    serving = Serving(form, precision, options.max_batch_size, options.instances, model_format)
    try:
        difference = export_model(network, facts, destination, serving, ensemble)
    except ExportError as error:
        raise InputError(f"nothing was written: {error}") from None
    sys.stdout.write(
        f"{destination.model_file(model_format)}: {len(facts.classes)} classes, {facts.size}x{facts.size}, "
        f"batches up to {options.max_batch_size}, at most {difference:.0e} from the network\n"
    )
    return 0


def _name_of(weights: str) -> str:
    """Name a model after its weights: their file, or, as every run's has the same name, the run's folder."""
    path = Path(weights)
    folder = path.parent.resolve().name
    named_by_folder = path.name == MODEL_FILE and _NAME.fullmatch(folder)
    return DEFAULT_NAMES.get(weights) or (folder if named_by_folder else path.stem)


def _beside(name: str, model_format: ModelFormat) -> str:
    """Let a model in another format stand beside the one in TorchScript."""
    return name if model_format is ModelFormat.TORCHSCRIPT else f"{name}_{model_format}"


def _ensemble_name(options: Namespace, network: Destination) -> str:
    """Return what to call the ensemble around the network; nothing if none is to be written.

    Raises:
        InputError: It is no name for a model, or the network has the name of the ensemble or of its step.
    """
    usual = options.name is None and ModelFormat(options.format) is ModelFormat.TORCHSCRIPT
    name: str = options.ensemble or (DEFAULT_ENSEMBLES.get(options.weights, "") if usual else "")
    if name and network.name in (Destination(network.repository, name).name, decoder_name(name)):
        raise InputError(f"the ensemble {name!r} would take the place of the network {network.name!r}")
    return name


if __name__ == "__main__":
    sys.exit(main())
