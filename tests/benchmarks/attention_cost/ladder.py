"""The highest rung of a ladder that holds: found outward from a guess, since each try takes seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def highest_rung(holds: Callable[[int], bool], guess: int, lowest: int, highest: int) -> int | None:
    """The highest rung that holds, if all below one that holds hold, too; None if not even `lowest` does.

    Strides from the guess double until one end of the answer is on either side, and are halved then.

    Args:
        holds: Tries a rung.
        guess: Where to begin.
        lowest: The first rung.
        highest: The last one.
    """
    guess = min(max(guess, lowest), highest)
    upward = holds(guess)
    met, missed = (guess, highest + 1) if upward else (lowest - 1, guess)
    stride = 1
    while missed - met > 1:
        enclosed = lowest <= met and missed <= highest
        beyond = met + stride if upward else missed - stride
        rung = beyond if not enclosed and met < beyond < missed else (met + missed) // 2
        if holds(rung):
            met = rung
        else:
            missed = rung
        stride *= 2
    return met if met >= lowest else None
