"""`python -m modeling.export`: write a model into a model repository, for this project's server or Triton."""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modeling.command import InputError, run
from modeling.comparison import ExportError, largest_difference
from modeling.ensemble import decoder_name, ensemble_files
from modeling.export_options import export_parser, fresh
from modeling.files import replacing
from modeling.model_config import Serving, model_config, warm_sizes
from modeling.model_format import ModelFormat
from modeling.servable import InputForm, Precision, Servable
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

    def model_file(self, model_format: ModelFormat = ModelFormat.TORCHSCRIPT) -> Path:
        """Return the path of the model's file."""
        return self.repository / self.name / str(self.version) / model_format.file_name


def export_model(
    network: nn.Module,
    facts: ModelFacts,
    destination: Destination,
    serving: Serving = Serving(),  # noqa: B008 - it never changes
) -> float:
    """Write the module, `labels.txt` and `config.pbtxt`, each in one step, once the module has passed its check.

    Returns:
        The largest difference of a probability from the network's own, at any of the batch sizes that are warmed up.

    Raises:
        ExportError: The module that would have been written does not compute what the network computes.
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
        # A server that looks at the repository in between finds the module before the config that announces it.
        _place(destination.model_file(serving.format), staged.read_bytes())
    model_folder = destination.repository / destination.name
    _place(model_folder / "labels.txt", labels)
    _place(model_folder / "config.pbtxt", config)
    return difference


def export_ensemble(name: str, facts: ModelFacts, network: Destination, form: InputForm, max_batch_size: int) -> None:
    """Write the ensemble `name`, which takes encoded images for `network`, and its step that decodes them."""
    Destination(network.repository, name)
    for path, content in ensemble_files(name, network.name, facts, form, max_batch_size):
        _place(network.repository / path, content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = export_parser(PROGRAM).parse_args(arguments)
    torch.set_num_threads(1)  # several would mostly wait for each other: these are many short computations
    return run(PROGRAM, lambda: export(options))


def export(options: Namespace) -> int:
    """Export as the options say."""
    model_format = ModelFormat(options.format)
    made = fresh(options)
    name = _default_name(made.name if made else options.weights, model_format)
    destination = Destination(options.model_repository, name if options.name is None else options.name, options.version)
    labels = read_labels(options.labels) if options.labels else None
    network, facts = made.build(labels) if made else load_weights(options.weights, labels)
    if options.size:
        facts = replace(facts, size=options.size)
    ensemble = _ensemble_name(options, destination)
    form, precision = InputForm(options.input), Precision(options.precision)
    if (model_format, precision) == (ModelFormat.ONNX, Precision.BF16):
        raise InputError("ONNX models are written in fp32 only: leave out --precision or --format")
    serving = Serving(form, precision, options.max_batch_size, options.instances, model_format)
    try:
        difference = export_model(network, facts, destination, serving)
    except ExportError as error:
        raise InputError(f"nothing was written: {error}") from None
    if ensemble:
        export_ensemble(ensemble, facts, destination, form, options.max_batch_size)
    sys.stdout.write(
        f"{destination.model_file(model_format)}: {len(facts.classes)} classes, {facts.size}x{facts.size}, "
        f"batches up to {options.max_batch_size}, at most {difference:.0e} from the network\n"
    )
    return 0


def _default_name(weights: str, model_format: ModelFormat) -> str:
    """Name a model after its weights; one in another format stands beside the one in TorchScript."""
    name = DEFAULT_NAMES.get(weights, Path(weights).stem)
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


def _place(path: Path, content: bytes) -> None:
    """Put a file in place in one step; an equal one is left alone, so that no server reloads it."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
