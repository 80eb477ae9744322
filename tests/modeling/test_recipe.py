"""What a recipe says of each step, and what is no recipe."""

from __future__ import annotations

import pytest

from modeling.recipe import Recipe


def test_learning_rate() -> None:
    """The learning rate rises in a line to its highest value and falls as a cosine towards zero."""
    recipe = Recipe(learning_rate=0.8, warm_up=0.2)

    rates = [recipe.learning_rate_at(progress) for progress in (0, 0.1, 0.2, 0.6, 1)]

    assert rates == pytest.approx([0, 0.4, 0.8, 0.4, 0])


def test_sizes() -> None:
    """Each image size has an equal share of the run."""
    recipe = Recipe(sizes=(32, 48, 64))

    assert [recipe.size_at(progress) for progress in (0, 0.33, 0.34, 0.66, 0.67, 0.999)] == [32, 32, 48, 48, 64, 64]


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"sizes": ()},
        {"sizes": (32, 0)},
        {"warm_up": 1.0},
        {"average_decay": -1},
        {"precision": "int8"},
        {"variety": "none"},
        {"optimizer": "none"},
        {"mixed_share": 1.1},
        {"jpeg_quality": 96},
    ],
)
def test_impossible_recipes(wrong: dict[str, object]) -> None:
    """A recipe that cannot be followed is refused."""
    with pytest.raises(ValueError, match=next(iter(wrong)).removesuffix("s")):
        Recipe(**wrong)  # type: ignore[arg-type]  # that is what is wrong
