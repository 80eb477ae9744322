"""A file of instants at which requests arrived somewhere, to be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.schedule import Schedule


def read_instants(file: Path | None) -> Schedule | None:
    """The instants in `file`, one a line in seconds; empty lines and those that begin with # do not count.

    Raises:
        ValueError: A line is no number, or there is none.
        OSError: The file cannot be read.
    """
    if file is None:
        return None
    instants = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            instants.append(_instant(text, f"{file}:{number}"))
    if not instants:
        raise ValueError(f"{file} holds no instants")
    return np.array(instants)


def _instant(text: str, place: str) -> float:
    try:
        instant = float(text)
    except ValueError:
        instant = float("nan")
    if not np.isfinite(instant):
        raise ValueError(f"{place}: {text!r} is no number of seconds")
    return instant
