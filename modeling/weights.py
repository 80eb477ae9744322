"""Weights by name: those in the package, the authors' for ImageNet, or a file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modeling.checkpoint import SUFFIX, load_checkpoint, load_state_file, load_strictly, require_finite
from modeling.command import InputError
from modeling.download import cache_directory, fetch, git_blob_id
from modeling.facts import ModelFacts
from modeling.recognition import our_names, recognise
from modeling.torchscript import is_torchscript

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


logger = logging.getLogger(__name__)

BUNDLED = "bundled"
IMAGENET = "imagenet"
BUNDLED_FILE = Path(__file__).parent / "weights" / "ca_mobilenetv2_cifar10.safetensors"
IMAGENET_LABELS_FILE = Path(__file__).parent / "imagenet_labels.txt"
# MobileNetV2 1.0 with Coordinate Attention, published by its authors under the MIT licence.
IMAGENET_URLS = (
    "https://raw.githubusercontent.com/Andrew-Qibin/CoordAttention/main/mbv2_ca.pth",
    "https://raw.githubusercontent.com/houqb/CoordAttention/main/mbv2_ca.pth",
)
IMAGENET_BLOB_ID = "07b6640600b7d767acfaebcf5ddb801b675073df"
_IMAGENET_SIZE = 224
_IMAGENET_CROP_FRACTION = 0.875


def load_weights(
    source: str, labels: tuple[str, ...] | None = None, size: int | None = None
) -> tuple[nn.Module, ModelFacts]:
    """Build a network with its weights.

    A file that does not say what it is for is recognised by the names and shapes in it; its images are taken to be
    prepared as in the authors' training on ImageNet.

    Args:
        source: `bundled`, `imagenet` or the path of a file: safetensors, of this package or others, or a PyTorch file.
        labels: Names of the classes, instead of those that are known.
        size: Height and width of the input in pixels, instead of those that they were trained for.

    Returns:
        The network, and what is known about it.

    Raises:
        InputError: The weights cannot be had, or fit neither a network nor the labels.
    """
    path = _path(source)
    state, facts = _read(path)
    if facts is None:
        facts = _recognised_facts(path, state, labels)
    elif labels is not None:
        facts = replace(facts, classes=_as_many(labels, len(facts.classes), path))
    if size is not None:
        facts = facts.resized(size)
    network = facts.build()
    load_strictly(network, state)
    return network, facts


def read_weights(source: str) -> tuple[dict[str, Tensor], ModelFacts | None]:
    """Read weights, see `load_weights`, for a network that is not theirs; return also what their file says of them.

    Raises:
        InputError: They cannot be had.
    """
    return _read(_path(source))


def fetch_imagenet(urls: Sequence[str] = IMAGENET_URLS, blob_id: str = IMAGENET_BLOB_ID) -> Path:
    """Download the authors' ImageNet weights, unless they are there, and return their path.

    Raises:
        InputError: They cannot be had; the message says what to do.
    """
    remedy = "download mbv2_ca.pth by another way and give its path as --weights FILE"
    return fetch(urls, cache_directory() / "mbv2_ca.pth", git_blob_id, blob_id, remedy)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a file with one label a line.

    Raises:
        InputError: It cannot be read, or a line is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors mark their files so
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read labels from {path} ({error})") from None
    if not text:
        raise InputError(f"{path} has no labels")
    labels = tuple(line.strip() for line in text.removesuffix("\n").split("\n"))
    if "" in labels:
        raise InputError(f"{path} must have one label in each line, and line {labels.index('') + 1} is empty")
    return labels


def _path(source: str) -> Path:
    if source == BUNDLED:
        return BUNDLED_FILE
    return fetch_imagenet() if source == IMAGENET else Path(source)


def _read(path: Path) -> tuple[dict[str, Tensor], ModelFacts | None]:
    if not path.is_file():
        raise InputError(f"{path} {'is a directory' if path.is_dir() else 'does not exist'}: give a file of weights")
    if is_torchscript(path):
        raise InputError(f"{path} is an exported module: give the weights that it was made of")
    state, facts = load_checkpoint(path) if path.suffix == SUFFIX else (load_state_file(path), None)
    require_finite(state, str(path))
    return (state if facts else our_names(state)), facts


def _recognised_facts(path: Path, state: Mapping[str, Tensor], labels: tuple[str, ...] | None) -> ModelFacts:
    """Return the facts of weights that say none: of as many classes as ImageNet has, its labels."""
    architecture = recognise(path, state)
    known = read_labels(IMAGENET_LABELS_FILE)
    if labels is None and architecture.classes != len(known):
        raise InputError(
            f"{path} has {architecture.classes} classes and does not name them: give --labels FILE"
            " (where a command takes none, modeling.calibrate does, and writes them into a file of weights)"
        )
    if labels is None and git_blob_id(path.read_bytes()) != IMAGENET_BLOB_ID:
        logger.warning("%s does not name its classes, which are taken for ImageNet's: --labels FILE names others", path)
    return ModelFacts(
        known if labels is None else _as_many(labels, architecture.classes, path),
        _IMAGENET_SIZE,
        architecture.network,
        architecture.width,
        architecture.attention,
        crop_fraction=_IMAGENET_CROP_FRACTION,
    )


def _as_many(labels: tuple[str, ...], classes: int, path: Path) -> tuple[str, ...]:
    """Return the labels, which must be as many as there are classes."""
    if len(labels) != classes:
        raise InputError(f"there are {len(labels)} labels for the {classes} classes of {path}")
    return labels
