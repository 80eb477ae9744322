"""An evaluation as people read it, and as one object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imaging.evaluation import CALIBRATION_BINS, Evaluation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_WIDEST_MATRIX = 20  # classes; with more of them only the extremes are shown
_EXTREMES = 15
_WIDEST_LABEL = 30


def as_object(evaluation: Evaluation, seconds: float) -> dict[str, Any]:
    """Return what was measured, as JSON has it.

    Args:
        evaluation: What the classifier said.
        seconds: How long that took, from encoded images to answers.

    Returns:
        Shares between 0 and 1; None for what says nothing. `confusion_matrix` has a row for each class with images, by
        label, and in it the images for each answer that there was, by label too; failed images are not in it.
    """
    return {
        "images": len(evaluation.labels),
        "failed": evaluation.failed,
        "top_1": evaluation.top_k_accuracy(1),
        "top_5": evaluation.top_k_accuracy(5) if 5 in evaluation.ks else None,  # noqa: PLR2004 - as its name says
        "ece": evaluation.calibration_error(),
        "seconds": seconds,
        "images_per_second": len(evaluation.labels) / seconds,
        "classes": [
            {"index": index, "label": evaluation.classes[index], "images": images, "accuracy": right / images}
            for index, images, right in _classes_with_images(evaluation)
        ],
        "confusion_matrix": _matrix_by_label(evaluation),
    }


def as_text(evaluation: Evaluation, seconds: float) -> str:
    """Return what was measured in lines: totals, then accuracy and confusions of each class; arguments as above."""
    images, error = len(evaluation.labels), evaluation.calibration_error()
    failed = f"{evaluation.failed} failed, counted as wrong" if evaluation.failed else "none failed"
    totals = [
        f"images      {images}, {failed}",
        *(f"top-{k}       {evaluation.top_k_accuracy(k):.2%}" for k in evaluation.ks),
        f"ECE         {'-' if error is None else f'{error:.4f}'} ({CALIBRATION_BINS} bins)",
        f"throughput  {images / seconds:.1f} images/s ({seconds:.2f} s)",
    ]
    matrix = evaluation.confusion_matrix()
    shown = np.union1d(evaluation.labels, np.flatnonzero(matrix.sum(axis=0)))
    details = _matrix(evaluation, matrix, shown) if len(shown) <= _WIDEST_MATRIX else _extremes(evaluation, matrix)
    return "\n".join([*totals, "", *details]) + "\n"


def _classes_with_images(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """Return index, images and right answers of each class that has images."""
    classes = len(evaluation.classes)
    images = np.bincount(evaluation.labels, minlength=classes)
    right = np.bincount(evaluation.labels[evaluation.labels == evaluation.predicted], minlength=classes)
    return [(index, int(images[index]), int(right[index])) for index in np.flatnonzero(images).tolist()]


def _matrix_by_label(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = {evaluation.classes[index]: {} for index in np.unique(evaluation.labels).tolist()}
    matrix = evaluation.confusion_matrix()
    for label, answer in np.argwhere(matrix).tolist():
        row, name = rows[evaluation.classes[label]], evaluation.classes[answer]
        row[name] = row.get(name, 0) + int(matrix[label, answer])  # a model's labels may have a name twice
    return rows


def _matrix(evaluation: Evaluation, matrix: NDArray[np.int64], shown: NDArray[np.int64]) -> list[str]:
    """Show each class with its accuracy and what its images were taken for, by the number of that class."""
    head = ["class", "", "images", "right", *map(str, shown.tolist())]
    rows = [[str(index), _short(evaluation.classes[index]), "", "", *[""] * len(shown)] for index in shown.tolist()]
    for index, images, right in _classes_with_images(evaluation):
        row = rows[shown.tolist().index(index)]
        row[2:] = [
            str(images),
            f"{right / images:.1%}",
            *(str(count or ".") for count in matrix[index, shown].tolist()),
        ]
    return ["each class, and as which class its images were recognised (confusion matrix)", *_table([head, *rows])]


def _extremes(evaluation: Evaluation, matrix: NDArray[np.int64]) -> list[str]:
    """Show the classes that are recognised worst, and the most frequent confusions."""
    classes = sorted(_classes_with_images(evaluation), key=lambda each: each[2] / each[1])
    worst = [
        [str(index), _short(evaluation.classes[index]), str(images), f"{right / images:.1%}"]
        for index, images, right in classes[:_EXTREMES]
    ]
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_EXTREMES]
    confusions = [
        [str(wrong[label, answer]), _short(evaluation.classes[label]), _short(evaluation.classes[answer])]
        for label, answer in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[label, answer]
    ]
    return [
        f"the least accurate of {len(classes)} classes",
        *_table([["class", "", "images", "right"], *worst]),
        "",
        "the most frequent confusions",
        *_table([["images", "class", "taken for"], *confusions], names=(1, 2)),
    ]


def _short(label: str) -> str:
    return label if len(label) <= _WIDEST_LABEL else label[: _WIDEST_LABEL - 1] + "…"


def _table(rows: Sequence[Sequence[str]], names: tuple[int, ...] = (1,)) -> list[str]:
    """Align columns: those with names to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = (
        (
            cell.ljust(width) if place in names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return ["  ".join(cells).rstrip() for cells in aligned]
