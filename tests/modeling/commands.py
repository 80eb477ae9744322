"""Runs of training that are soon at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modeling.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Recipe(epochs=4, batch_size=9, sizes=(24, 32), learning_rate=0.01, average_decay=0.5)
FRESH = ["--weights", "fresh", "--attention", "se", "--width", "0.1", "--size", "32"]
"""An export that needs no training."""
SMALL = [
    *("--device", "cpu", "--width", "0.1", "--sizes", "32"),
    *("--batch-size", "8", "--learning-rate", "0.01", "--average-decay", "0.5"),
]


def options(data: Path, output: Path, *more: str) -> list[str]:
    """Return the options of a small run."""
    return ["--data", str(data), "--output", str(output), *SMALL, *more]
