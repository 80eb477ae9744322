"""Does memory grow without end? A leak rises steadily; a cache that fills, or a first burst of work, rises once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTS = 4
_LEAST_SECONDS = 60
_LEAST_BYTES = 32 << 20
_LEAST_SHARE = 0.05
# Of an even rise's steps, how much each part must have risen at least.
_EVENNESS = 0.4


@dataclass(frozen=True, slots=True)
class Growth:
    """From `first` to `last` bytes within `seconds`."""

    first: float
    last: float
    seconds: float


def growth(resident_bytes: Sequence[int]) -> Growth | None:
    """A steady rise of memory, measured once a second; None where there is none, or it is too early to tell."""
    if len(resident_bytes) < _LEAST_SECONDS:
        return None
    size = len(resident_bytes) // _PARTS
    levels = [
        fmean(resident_bytes[-size * part : len(resident_bytes) - size * (part - 1)]) for part in range(_PARTS, 0, -1)
    ]
    risen = levels[-1] - levels[0]
    least = _EVENNESS * risen / (_PARTS - 1)
    steady = all(after - before >= least for before, after in pairwise(levels))
    if risen < max(_LEAST_BYTES, _LEAST_SHARE * levels[0]) or not steady:
        return None
    return Growth(resident_bytes[0], resident_bytes[-1], float(len(resident_bytes)))
