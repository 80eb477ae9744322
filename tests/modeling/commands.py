"""Options of training commands that are soon at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SMALL = [
    "--device",
    "cpu",
    "--width",
    "0.1",
    "--sizes",
    "32",
    "--batch-size",
    "8",
    "--learning-rate",
    "0.01",
    "--average-decay",
    "0.5",
]


def options(data: Path, output: Path, *more: str) -> list[str]:
    """Return the options of a small run."""
    return ["--data", str(data), "--output", str(output), *SMALL, *more]
