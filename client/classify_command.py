"""`python -m client classify`: says what is in images, for people and for programs."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

from client.classifier import Classifier
from client.credentials import credentials
from client.image_files import STANDARD_INPUT, find_images
from client.progress import progress
from client.results import ImageFailure
from client.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from client.images import Image
    from client.results import Class, Result

_WIDEST_FILE = 40


def run(options: argparse.Namespace) -> int:
    """Classifies `options.images`, prints each result as it comes, and returns the exit code."""
    files, empty = find_images(options.images)
    for directory in empty:
        print(f"no image in {printable(directory)}", file=sys.stderr)
    if not files:
        return 2
    report = _json_reporter(options) if options.json else _text_reporter(files)
    failed = 0
    with Classifier(options.url, options.model, options.version, options.timeout, credentials(options)) as classifier:
        classifier.ping()
        results = classifier.classify_many(map(_open, files), options.top_k, concurrency=options.concurrency)
        with progress("classifying", len(files), whole_lines=options.json) as advance:
            for file, result in zip(files, results, strict=True):
                report(file, result)
                advance()
                failed += isinstance(result, ImageFailure)
    if failed and len(files) > 1:
        print(f"{failed} of {len(files)} images failed", file=sys.stderr)
    return 1 if failed or empty else 0


def _open(file: str) -> Image:
    # Read here and not where images are: who writes it may take longer than an answer may, and be interrupted.
    return sys.stdin.buffer.read() if file == STANDARD_INPUT else file


def _json_reporter(options: argparse.Namespace) -> Callable[[str, Result], None]:
    """Returns what prints a result as one line of JSON; a failed image bears the names that were asked for."""

    def report(file: str, result: Result) -> None:
        line: dict[str, Any] = {"file": file, "model": options.model, "version": options.version}
        if isinstance(result, ImageFailure):
            line |= {"classes": [], "error": str(result.error)}
        else:
            line |= {"model": result.model, "version": result.version}
            line |= {"classes": [_class_object(each) for each in result.classes], "error": None}
        print(json.dumps(line), flush=True)

    return report


def _class_object(each: Class) -> dict[str, Any]:
    # A broken model's probability may be no number, for which JSON has no word but null.
    probability = each.probability if math.isfinite(each.probability) else None
    return {"index": each.index, "label": each.label, "probability": probability}


def _text_reporter(files: Sequence[str]) -> Callable[[str, Result], None]:
    """Returns what prints a result as aligned lines: file, probability, label; failures go to standard error."""
    width = min(_WIDEST_FILE, max(len(printable(file)) for file in files))

    def report(file: str, result: Result) -> None:
        if isinstance(result, ImageFailure):
            print(f"{printable(file)}: {printable(str(result.error))}", file=sys.stderr, flush=True)
            return
        names = [printable(file)] + [""] * (len(result.classes) - 1)
        for name, each in zip(names, result.classes, strict=True):
            label = printable(each.label) or f"class {each.index}"
            print(f"{name:{width}}  {each.probability:.4f}  {label}", flush=True)

    return report
