"""How often a classifier is right, what it takes for what, and whether its probabilities are to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_ANSWER = -1  # in place of a class, where the classifier failed
CALIBRATION_BINS = 15
MOST_RANKED = 5  # the most probable classes of an image that are looked at
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a classifier said of labelled images. An image without an answer is a wrong one.

    Attributes:
        classes: The classifier's classes, in the order of its outputs.
        labels: The right class of each image, int64 [N], N at least 1.
        ranked: The most probable classes of each image, best first, int64 [N, K]; `NO_ANSWER` where it failed.
        confidence: The probability that each image's best class was given, float64 [N]; anything where it failed.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ranked: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The best class of each image, int64 [N], or `NO_ANSWER`."""
        return self.ranked[:, 0]

    @property
    def failed(self) -> int:
        """How many images have no answer."""
        return int((self.predicted == NO_ANSWER).sum())

    @property
    def ks(self) -> tuple[int, ...]:
        """The k for which a top-k accuracy says something: with few classes, only 1."""
        return (1, MOST_RANKED) if len(self.classes) > MOST_RANKED else (1,)

    def top_k_accuracy(self, k: int) -> float:
        """Return the share of images whose right class is among the `k` most probable."""
        return top_k_accuracy(self.labels, self.ranked, k)

    def calibration_error(self) -> float | None:
        """Return the expected calibration error over the images that have an answer.

        None if none has, or if the classifier's scores are no probabilities.
        """
        answered = self.predicted != NO_ANSWER
        confidence, right = self.confidence[answered], (self.predicted == self.labels)[answered]
        # A softmax in float32 may end a little above 1; "not" is for what is no number.
        if not len(confidence) or not (confidence.min() >= 0 and confidence.max() <= 1 + _ROUNDING):
            return None
        return expected_calibration_error(confidence, right)

    def confusion_matrix(self) -> NDArray[np.int64]:
        """Count the images that have an answer, int64 [classes, classes]: by right class (row) and answer (column)."""
        answered = self.predicted != NO_ANSWER
        return confusion_matrix(self.labels[answered], self.predicted[answered], len(self.classes))


def top_k_accuracy(labels: NDArray[np.int64], ranked: NDArray[np.int64], k: int) -> float:
    """Return the share of images whose label [N] is among the first `k` of their ranked classes [N, K]."""
    return float((ranked[:, :k] == labels[:, None]).any(axis=1).mean())


def expected_calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """Return by how much confidence and accuracy differ, on average over all images.

    Images are put into bins of equal width by their confidence, the first one of [0, 1/bins], the others open on the
    left; each bin's difference between its mean confidence and its accuracy counts by its share of the images.
    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 2, equations 2, 3 and 5.

    Args:
        confidence: Probability of the class that was chosen, in [0, 1], [N].
        right: Whether that class is right, [N].
        bins: How many.
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    numbers = np.searchsorted(edges, confidence)  # bin m holds edges[m - 1] < confidence <= edges[m]
    surplus = np.bincount(numbers, confidence.astype(np.float64) - right, bins)
    return float(np.abs(surplus).sum() / len(confidence))


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count images by right class and predicted class: int64 [N] and int64 [N] to int64 [classes, classes]."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
