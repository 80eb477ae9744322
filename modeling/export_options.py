"""The options of `python -m modeling.export`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from modeling.attention import ATTENTION
from modeling.command import InputError, Parser, positive, positive_number, seed
from modeling.fresh import FRESH, Fresh
from modeling.model_format import ModelFormat
from modeling.network import NETWORKS
from modeling.servable import InputForm, Precision
from modeling.weights import BUNDLED

if TYPE_CHECKING:
    from argparse import Namespace
    from enum import StrEnum

_USUAL = Fresh()
_FRESH_OPTIONS = tuple(field.name for field in fields(Fresh))


def export_parser(program: str) -> Parser:
    """Return the parser of the command."""
    parser = Parser(program, "Write a model into a model repository, as TorchScript or ONNX.")
    add = parser.add_argument
    add(
        "--weights",
        default=BUNDLED,
        help="bundled (CIFAR-10), imagenet (the authors', downloaded), fresh (random), or a file",
    )
    add(
        "--name",
        help="the model's name (default: ca_mobilenetv2, ca_mobilenetv2_imagenet, NETWORK_ATTENTION[_WIDTH], or the"
        " file's, of model.safetensors its folder's; as ONNX with _onnx)",
    )
    add("--model-repository", type=Path, default=Path("model_repository"), help="folder to write to")
    add("--input", choices=_values(InputForm), default="uint8", help="uint8 NHWC or float32 NCHW, 0 to 1")
    add(
        "--format",
        choices=_values(ModelFormat),
        default="torchscript",
        help="torchscript, or onnx, which of the servers only Triton runs",
    )
    add(
        "--precision",
        choices=_values(Precision),
        default="fp32",
        help="what the network computes in; bf16 is fast where the processor has its instructions",
    )
    add(
        "--instances",
        type=positive,
        help="batches executed at a time, one thread each, by either server; without it Triton runs one",
    )
    add("--labels", type=Path, help="file with one label a line, in place of the known ones")
    add(
        "--size",
        type=positive,
        help="height and width of the input in pixels (default: what the weights were trained for)",
    )
    add(
        "--ensemble",
        metavar="NAME",
        help="write an ensemble, too, which takes encoded images (default: classify_image or classify_imagenet, unless"
        " --name is given)",
    )
    add("--max-batch-size", type=positive, default=8, help="the most images in one batch")
    add("--version", type=positive, default=1, help="the model's version")
    _add_fresh(parser)
    return parser


def _values(kind: type[StrEnum]) -> list[str]:
    return [each.value for each in kind]


def _add_fresh(parser: Parser) -> None:
    """Add the options of `Fresh`; each is None unless it is given."""
    add = parser.add_argument_group("with --weights fresh").add_argument
    add("--network", choices=NETWORKS, help=f"the network (default: {_USUAL.network})")
    add("--attention", choices=ATTENTION, help=f"in its blocks (default: {_USUAL.attention})")
    add("--width", type=positive_number, help=f"multiplies its channels (default: {_USUAL.width})")
    add("--seed", type=seed, help=f"of the weights (default: {_USUAL.seed})")


def fresh(options: Namespace) -> Fresh | None:
    """Return which network with fresh weights is asked for; None if others are.

    Raises:
        InputError: The options do not fit together.
    """
    given = {name: value for name in _FRESH_OPTIONS if (value := getattr(options, name)) is not None}
    if options.weights == FRESH:
        return Fresh(**given)
    if given:
        raise InputError(
            f"--{next(iter(given))} goes with --weights {FRESH}; other weights belong to a network already"
        )
    return None
