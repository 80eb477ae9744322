"""What the commands that train share: which images, where, and what becomes of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from modeling.command import InputError
from modeling.servable import PROCESSOR
from modeling.sources import CIFAR10, read_cifar10, read_images

if TYPE_CHECKING:
    from argparse import Namespace

    from modeling.command import Parser
    from modeling.dataset import DataSet

_AUTO, _CUDA = "auto", "cuda"
_HELD_OUT_SHARE = 0.1


def add_options(parser: Parser, output: str) -> None:
    """Add the options; `output` is the folder that is used if none is given."""
    sources = "a folder of class folders, or a packed .npz file"
    parser.add_argument("--data", default=CIFAR10, help=f"{sources}, or cifar10; held in memory at the served size")
    parser.add_argument("--test-data", type=Path, help=f"images to test with: {sources} (cifar10 has its own)")
    parser.add_argument(
        "--held-out-share",
        type=float,
        help="... or, without them, this share of each class, always the same images, whatever the seed"
        f" (default: {_HELD_OUT_SHARE})",
    )
    parser.add_argument("--output", type=Path, default=Path(output), help="folder for the run and the model")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output, given the same options")
    parser.add_argument(
        "--device", choices=(_AUTO, PROCESSOR.type, _CUDA), default=_AUTO, help="where; auto is a GPU if there is one"
    )


def chosen_device(options: Namespace) -> torch.device:
    """Return where to train.

    Raises:
        InputError: There is no GPU where one is asked for.
    """
    if options.device == _CUDA and not torch.cuda.is_available():
        raise InputError("PyTorch finds no GPU here: give --device cpu")
    if options.device == _AUTO:
        return torch.device(_CUDA) if torch.cuda.is_available() else PROCESSOR
    return torch.device(options.device)


def read_data(options: Namespace) -> tuple[DataSet, DataSet]:
    """Return the images to train on and those to test with.

    Raises:
        InputError: They cannot be had.
    """
    if options.held_out_share is not None and not holds_out(options):
        raise InputError("--held-out-share is for images of your own without --test-data: otherwise none are held out")
    if options.data == CIFAR10:
        training, test = read_cifar10()
    else:
        training, test = read_images(Path(options.data)), None
    if options.test_data is not None:
        test = read_images(options.test_data).with_classes(training.classes)
    if len(training.classes) < 2:  # noqa: PLR2004 - one class needs no classifier
        raise InputError(f"{training.name} has fewer than two classes")
    share = _HELD_OUT_SHARE if options.held_out_share is None else options.held_out_share
    return (training, test) if test else training.hold_out(share)


def holds_out(options: Namespace) -> bool:
    """Tell whether some of the images are held out to test with, because there are no others."""
    return options.data != CIFAR10 and options.test_data is None


def data_settings(options: Namespace, training: DataSet, test: DataSet) -> dict[str, Any]:
    """Return what a run must find again when it goes on: the same images and classes."""
    return {
        **({"held_out": "each by itself"} if holds_out(options) else {}),  # which the seed decided in older runs
        "images": len(training.labels),
        "classes": list(training.classes),
        "data": training.fingerprint(),
        "test_data": test.fingerprint(),
    }
