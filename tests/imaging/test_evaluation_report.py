"""An evaluation's report tells what was measured, for few classes and for many."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.evaluation import NO_ANSWER, Evaluation
from imaging.evaluation_report import as_object, as_text

CLASSES = ("ant", "bee", "cat")
FIVE_IMAGES = Evaluation(
    CLASSES,
    labels=np.array([0, 0, 2, 2, 2]),
    ranked=np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1], [NO_ANSWER] * 3, [0, 2, 1]]),
    confidence=np.array([1.0, 0.5, 1.0, 0.0, 0.5]),
)


def test_text_of_few_classes() -> None:
    """All totals, and for each class accuracy and confusions; a class without images appears where it was answered."""
    assert as_text(FIVE_IMAGES, 2.0).splitlines() == [
        "images      5, 1 failed, counted as wrong",
        "top-1       40.00%",
        "ECE         0.2500 (15 bins)",
        "throughput  2.5 images/s (2.00 s)",
        "",
        "each class, and as which class its images were recognised (confusion matrix)",
        "class       images  right  0  1  2",
        "    0  ant       2  50.0%  1  1  .",
        "    1  bee",
        "    2  cat       3  33.3%  1  .  1",
    ]


def test_text_of_many_classes() -> None:
    """The worst classes and the most frequent confusions, worst first."""
    labels = np.repeat(np.arange(30), 4)
    predicted = labels.copy()
    predicted[[0, 1, 2, 4]] = [7, 7, 8, 9]
    classes = tuple(f"class of bees number {number}" + " and more" * (number == 0) for number in range(30))
    lines = as_text(Evaluation(classes, labels, predicted[:, None], np.ones(120)), 1.0).splitlines()

    start = lines.index("the least accurate of 30 classes")
    assert [line.split()[-1] for line in lines[start + 2 : start + 5]] == ["25.0%", "75.0%", "100.0%"]
    assert lines[start + 2].startswith("    0  class of bees number 0 and mo…       4")
    confusions = lines[lines.index("the most frequent confusions") + 2 :]
    assert [line.split(maxsplit=1)[0] for line in confusions] == ["2", "1", "1"]
    assert confusions[0].endswith("class of bees number 7")


def test_calibration_that_is_unknown() -> None:
    """Scores that are no probabilities have no calibration error, and JSON has no number for it."""
    scores = Evaluation(CLASSES, np.array([0]), np.array([[0, 1, 2]]), np.array([7.5]))

    assert "ECE         - (15 bins)" in as_text(scores, 1.0)
    assert as_object(scores, 1.0)["ece"] is None


def test_object() -> None:
    """The same numbers, as shares; programs find the confusions by label."""
    found = as_object(FIVE_IMAGES, 2.0)

    assert (
        json.loads(json.dumps(found))
        == found
        == {
            "images": 5,
            "failed": 1,
            "top_1": 0.4,
            "top_5": None,
            "ece": 0.25,
            "seconds": 2.0,
            "images_per_second": 2.5,
            "classes": [
                {"index": 0, "label": "ant", "images": 2, "accuracy": 0.5},
                {"index": 2, "label": "cat", "images": 3, "accuracy": pytest.approx(1 / 3)},
            ],
            "confusion_matrix": {"ant": {"ant": 1, "bee": 1}, "cat": {"ant": 1, "cat": 1}},
        }
    )


def test_labels_that_a_model_has_twice() -> None:
    """What was taken for either of two classes of one name is counted together."""
    doubled = Evaluation(("ant", "bee", "bee"), np.array([0, 0]), np.array([[1], [2]]), np.ones(2))

    assert as_object(doubled, 1.0)["confusion_matrix"] == {"ant": {"bee": 2}}


@given(pairs=st.lists(st.tuples(st.integers(0, 24), st.integers(-1, 24)), min_size=1))
def test_report_of_any_evaluation(pairs: list[tuple[int, int]]) -> None:
    """Whatever was answered, every image is in exactly one place."""
    labels, predicted = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    some = Evaluation(tuple(f"class {i}" for i in range(25)), labels, predicted[:, None], np.full(len(pairs), 0.5))
    found = as_object(some, 1.0)

    assert sum(sum(row.values()) for row in found["confusion_matrix"].values()) + found["failed"] == len(pairs)
    assert sum(each["images"] for each in found["classes"]) == len(pairs)
    right = sum(each["accuracy"] * each["images"] for each in found["classes"])
    assert right / len(pairs) == pytest.approx(found["top_1"])
    assert f"top-1       {found['top_1']:.2%}\n" in as_text(some, 1.0)
