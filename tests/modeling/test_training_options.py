"""The commands that train find their images, and refuse options that would change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modeling.command import InputError, Parser
from modeling.sources import read_images
from modeling.training_options import add_options, data_settings, read_data

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path


def parsed(*arguments: str) -> Namespace:
    """Return what the arguments say."""
    parser = Parser("test", "Tests.")
    add_options(parser, "runs/test")
    return parser.parse_args(arguments)


def test_no_image_is_both_learned_and_tested(coloured_folder: Path) -> None:
    """Nothing that a run trains on is tested with by another one that holds out a smaller share."""
    training, _ = read_data(parsed("--data", str(coloured_folder), "--held-out-share", "0.3"))
    _, test = read_data(parsed("--data", str(coloured_folder)))

    assert len(test.images) == 3
    assert not set(test.images) & set(training.images)


def test_a_run_says_how_its_images_were_held_out(coloured_folder: Path) -> None:
    """A run from when the seed decided which images are held out is told from one of today, where any are."""
    images = read_images(coloured_folder)

    assert data_settings(parsed("--data", "images"), images, images)["held_out"] == "each by itself"
    assert "held_out" not in data_settings(parsed("--data", "cifar10"), images, images)
    assert "held_out" not in data_settings(parsed("--data", "images", "--test-data", "others"), images, images)


@pytest.mark.parametrize("more", [["--data", "cifar10"], ["--test-data", "photos"]])
def test_nothing_to_hold_out(more: list[str]) -> None:
    """A share to hold out is refused where there are other images to test with."""
    with pytest.raises(InputError, match="--held-out-share is for images of your own without --test-data"):
        read_data(parsed("--data", "images", "--held-out-share", "0.1", *more))
