"""`python -m client evaluate`: how often a server is right on labelled images."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from client.arguments import MOST_COUNT
from client.classifier import Classifier
from client.credentials import credentials
from client.errors import ServerError
from client.progress import progress
from client.results import Classification, ImageFailure
from client.text import printable
from imaging.errors import InputError
from imaging.evaluation import MOST_RANKED, NO_ANSWER, Evaluation
from imaging.evaluation_report import as_object, as_text
from imaging.labelled_images import LabelledImages

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from client.results import Result

_MOST_FAILURES_SHOWN = 10


def run(options: argparse.Namespace) -> int:
    """Classifies the labelled images in `options.data`, prints how well that went, and returns the exit code."""
    images = LabelledImages.read(Path(options.data))
    results: list[Result] = []
    started = time.monotonic()
    try:
        images, first = _collect(options, images, results)
    except KeyboardInterrupt:
        print(f"interrupted after {len(results)} of {len(images.labels)} images: nothing is told", file=sys.stderr)
        raise
    seconds = time.monotonic() - started
    failures = {images.where(i): str(each.error) for i, each in enumerate(results) if isinstance(each, ImageFailure)}
    if first:
        evaluation = _evaluation(images, results)
        if options.json:
            heading = {"model": first.model, "version": first.version, "data": options.data}
            listed = [{"image": image, "error": error} for image, error in failures.items()]
            print(json.dumps(heading | as_object(evaluation, seconds) | {"failures": listed}))
        else:
            _print_text(f"{first.model} version {first.version} at {options.url}, {images.name}")
            _print_text(as_text(evaluation, seconds))
    _tell_failures(failures, len(results))
    return 1 if failures else 0


def _collect(
    options: argparse.Namespace, images: LabelledImages, results: list[Result]
) -> tuple[LabelledImages, Classification | None]:
    """Asks for every image and adds to `results`; returns the images by the model's classes, and the first answer.

    Raises:
        InputError: The model does not know a class of the images.
    """
    first = None
    with progress("evaluating", len(images.labels)) as advance:
        for result in _ask(options, images.images):
            if first is None and isinstance(result, Classification):
                first, images = result, images.with_classes(_labels(result))
            results.append(result)
            advance()
    return images, first


def _ask(options: argparse.Namespace, images: Sequence[Path | bytes]) -> Iterator[Result]:
    """Yields a result for each image; the first that is no failure has all classes of the model."""
    rest = iter(images)
    first: Result | None = None
    secured = credentials(options)
    with Classifier(options.url, options.model, options.version, options.timeout, secured) as classifier:
        classifier.ping()
        for image in rest:
            (first,) = classifier.classify_many([image], MOST_COUNT)  # servers answer with as many as there are
            yield first
            if isinstance(first, Classification):
                break
    if isinstance(first, Classification):
        # From here on by its version, so that a model that is reloaded meanwhile is not measured half.
        with Classifier(options.url, first.model, first.version, options.timeout, secured) as classifier:
            yield from classifier.classify_many(rest, MOST_RANKED, concurrency=options.concurrency)


def _labels(answer: Classification) -> tuple[str, ...]:
    """Returns the names of a model's classes, from an answer that should have them all.

    Raises:
        InputError: The model has no labels.
        ServerError: The answer does not have all classes.
    """
    classes = sorted(answer.classes, key=lambda each: each.index)
    if [each.index for each in classes] != list(range(len(classes))):
        raise ServerError(f"the server was asked for all classes of model '{answer.model}' and left some out")
    if not any(each.label for each in classes):
        raise InputError(f"model '{answer.model}' has no labels: there is nothing to compare class names with")
    return tuple(each.label or f"class {each.index}" for each in classes)


def _evaluation(images: LabelledImages, results: Sequence[Result]) -> Evaluation:
    ranked = np.full((len(results), min(MOST_RANKED, len(images.classes))), NO_ANSWER)
    confidence = np.zeros(len(results))
    for index, result in enumerate(results):
        if isinstance(result, Classification):
            best = [each.index for each in result.classes[: ranked.shape[1]]]
            ranked[index, : len(best)] = best
            confidence[index] = result.best.probability
    return Evaluation(images.classes, np.asarray(images.labels), ranked, confidence)


def _print_text(text: str) -> None:
    for line in text.splitlines():
        print(printable(line))


def _tell_failures(failures: dict[str, str], images: int) -> None:
    for image, error in list(failures.items())[:_MOST_FAILURES_SHOWN]:
        print(printable(f"{image}: {error}"), file=sys.stderr)
    if len(failures) > _MOST_FAILURES_SHOWN:
        print(f"... and {len(failures) - _MOST_FAILURES_SHOWN} more", file=sys.stderr)
    if failures:
        print(f"{len(failures)} of {images} images failed", file=sys.stderr)
