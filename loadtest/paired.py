"""Two things measured in turn, round by round: their ratio, and whether chance alone would explain it.

What disturbs a machine lasts longer than a round, so that both halves of a round suffer alike, and their ratio is
steadier than either. Of ratios the logarithms are averaged: twice as much and half as much are equally far from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
FEWEST_ROUNDS = 2  # one says nothing about chance


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much the second is as the first.

    Attributes:
        rounds: That were compared.
        ratio: The geometric mean over them.
        low: The lower end of its 95 % interval, by Student's t over the logarithms.
        high: The upper end.
        p_value: How often chance alone gives a ratio at least as far from 1.
    """

    rounds: int
    ratio: float
    low: float
    high: float
    p_value: float


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio | None:
    """The ratio of `second` to `first`, [N] each and above 0, paired by their places; None below two rounds."""
    logarithms = np.log(np.asarray(second) / np.asarray(first))
    count = len(logarithms)
    if count < FEWEST_ROUNDS:
        return None
    mean = float(logarithms.mean())
    error = float(logarithms.std(ddof=1)) / math.sqrt(count)
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * error
    if error == 0:
        return Ratio(count, math.exp(mean), math.exp(mean), math.exp(mean), float(mean == 0))
    p_value = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return Ratio(count, math.exp(mean), math.exp(mean - half), math.exp(mean + half), p_value)


def holm(p_values: Sequence[float]) -> list[bool]:
    """Which differences may be claimed so that, of all claims together, one is wrong in at most 5 % of all cases.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    claimed = [False] * len(p_values)
    for step, place in enumerate(np.argsort(p_values).tolist()):
        if p_values[place] > (1 - CONFIDENCE) / (len(p_values) - step):
            break
        claimed[place] = True
    return claimed
