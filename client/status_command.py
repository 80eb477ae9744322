"""`python -m client status`: shows a server's models and what they have done."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.classifier import Classifier
from client.credentials import credentials
from client.text import printable

if TYPE_CHECKING:
    import argparse

    from client.model_status import ModelStatus, ServerStatus

_RIGHT = ("answered", "failed", "mean batch", "queue ms", "compute ms", "total ms")
_WIDTH_OFF_TERMINAL = 250  # no wrapping where a program or a file reads


def run(options: argparse.Namespace) -> int:
    """Prints the status of the server at `options.url` and returns the exit code."""
    with Classifier(options.url, timeout_seconds=options.timeout, credentials=credentials(options)) as classifier:
        classifier.ping()
        status = classifier.status()
    if options.json:
        print(json.dumps(_as_object(status)))
    else:
        _print_table(status)
    return 0


def _as_object(status: ServerStatus) -> dict[str, Any]:
    models = [
        dataclasses.asdict(model) | {"ready": model.ready, "mean_batch": model.mean_batch} for model in status.models
    ]
    return {"name": status.name, "version": status.version, "models": models}


def _print_table(status: ServerStatus) -> None:
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OFF_TERMINAL, highlight=False)
    console.print(Text(printable(f"{status.name} {status.version}")))
    if not status.models:
        console.print("no models")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("model", "version", "state"):
        table.add_column(title)
    for title in _RIGHT:
        table.add_column(title, justify="right")
    for model in status.models:
        table.add_row(*map(Text, _row(model)))
    console.print(table)
    for model in status.models:
        if model.reason and not model.ready:
            console.print(Text(printable(f"{model.name} {model.version}: {model.reason}")), soft_wrap=True)


def _row(model: ModelStatus) -> list[str]:
    return [
        printable(model.name),
        printable(model.version),
        model.state,
        str(model.succeeded),
        str(model.failed),
        "-" if model.mean_batch is None else f"{model.mean_batch:.2f}",
        _milliseconds(model.mean_queue_seconds),
        _milliseconds(model.mean_compute_seconds),
        _milliseconds(model.mean_request_seconds),
    ]


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.2f}"
