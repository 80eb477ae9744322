"""The measures of a classifier hold against their definitions, written out image by image."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.evaluation import NO_ANSWER, Evaluation, confusion_matrix, expected_calibration_error, top_k_accuracy

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)


def columns(answers: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Split answers into confidence and whether they are right."""
    return np.array([each for each, _ in answers]), np.array([each for _, each in answers])


def evaluation(labels: list[int], ranked: list[list[int]], confidence: list[float], classes: str) -> Evaluation:
    """Build an evaluation of classes with names of one letter."""
    return Evaluation(tuple(classes), np.array(labels), np.array(ranked), np.array(confidence))


@given(answers=ANSWERS, bins=st.integers(1, 20))
def test_calibration_error_by_its_definition(answers: list[tuple[float, bool]], bins: int) -> None:
    """It is the sum over the bins of their share of images times the difference of accuracy and mean confidence."""
    edges = np.linspace(0, 1, bins + 1)
    expected = 0.0
    for lower, upper in itertools.pairwise(edges):
        within = [each for each in answers if lower < each[0] <= upper or each[0] == lower == 0]
        if within:
            confidence, right = columns(within)
            expected += len(within) / len(answers) * abs(right.mean() - confidence.mean())

    assert expected_calibration_error(*columns(answers), bins) == pytest.approx(expected, abs=1e-12)


@given(answers=ANSWERS, bins=st.integers(1, 20))
def test_calibration_error_is_bounded(answers: list[tuple[float, bool]], bins: int) -> None:
    """It lies between what all images together are off by and the mean of what each is off by."""
    confidence, right = columns(answers)
    error = expected_calibration_error(confidence, right, bins)

    assert abs(confidence.mean() - right.mean()) - 1e-12 <= error <= np.abs(confidence - right).mean() + 1e-12


@given(answers=ANSWERS, order=st.randoms())
def test_calibration_error_knows_no_order(answers: list[tuple[float, bool]], order: random.Random) -> None:
    """The images may come in any order."""
    shuffled = list(answers)
    order.shuffle(shuffled)

    first, second = (expected_calibration_error(*columns(each)) for each in (answers, shuffled))
    assert first == pytest.approx(second, abs=1e-12)


def test_calibration_error_of_known_answers() -> None:
    """Right with certainty costs nothing, wrong with certainty all; bins are closed on the right."""
    assert expected_calibration_error(np.ones(3), np.array([True] * 3)) == 0
    assert expected_calibration_error(np.ones(3), np.array([False] * 3)) == 1
    # Of 0.5 and 0.75 with two bins, the first alone is in the lower one: 0.5 off, then 0.25 off.
    assert expected_calibration_error(np.array([0.5, 0.75]), np.array([False, True]), 2) == pytest.approx(0.375)


@given(pairs=PAIRS)
def test_confusion_matrix_counts_each_image_once(pairs: list[tuple[int, int]]) -> None:
    """Each cell is the number of images of its row's class that were taken for its column's."""
    labels, predicted = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    matrix = confusion_matrix(labels, predicted, 4)

    assert matrix.tolist() == [[pairs.count((row, column)) for column in range(4)] for row in range(4)]


@given(pairs=PAIRS.filter(bool))
def test_confusion_matrix_fits_accuracy(pairs: list[tuple[int, int]]) -> None:
    """Its diagonal holds the images that are right, its rows the images of each class."""
    labels, predicted = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    matrix = confusion_matrix(labels, predicted, 4)

    assert matrix.trace() / len(pairs) == pytest.approx(top_k_accuracy(labels, predicted[:, None], 1))
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=4).tolist()


@given(rankings=st.lists(st.tuples(st.integers(0, 5), st.permutations(range(6))), min_size=1))
def test_top_k_accuracy_grows_to_one(rankings: list[tuple[int, list[int]]]) -> None:
    """Each further place can only add images, and with all places every image is right."""
    labels, ranked = np.array([each for each, _ in rankings]), np.array([each for _, each in rankings])
    accuracies = [top_k_accuracy(labels, ranked, k) for k in range(1, 7)]

    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == 1
    places = [ranking.index(label) for label, ranking in rankings]
    assert accuracies[2] == pytest.approx(sum(place < 3 for place in places) / len(places))


def test_failed_images_are_wrong() -> None:
    """An image without an answer lowers the accuracy, but says nothing of confidence and of confusions."""
    failed = [NO_ANSWER] * 2
    some = evaluation([0, 1, 1, 1], [[0, 1], [1, 0], [0, 1], failed], [0.75, 0.75, 0.75, np.nan], "ab")

    assert some.failed == 1
    assert some.top_k_accuracy(1) == 0.5
    assert some.confusion_matrix().tolist() == [[1, 0], [1, 1]]
    assert some.calibration_error() == pytest.approx(0.75 - 2 / 3)
    assert evaluation([0], [failed], [np.nan], "ab").calibration_error() is None


@pytest.mark.parametrize("score", [-0.5, 3.0, np.nan, np.inf])
def test_scores_that_are_no_probabilities(score: float) -> None:
    """They rank classes, but are no confidence."""
    some = evaluation([0, 1], [[0, 1], [0, 1]], [0.5, score], "ab")

    assert some.top_k_accuracy(1) == 0.5
    assert some.calibration_error() is None


def test_top_5_needs_more_than_five_classes() -> None:
    """Where every answer has all classes, that the right one is among them says nothing."""
    assert evaluation([0], [[0]], [1], "abcde").ks == (1,)
    assert evaluation([0], [[0]], [1], "abcdef").ks == (1, 5)
