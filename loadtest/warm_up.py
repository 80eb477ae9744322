"""Load that does not count: until the server has settled, not for a time that somebody guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.trace import Trace

_WINDOWS = 3  # in a row, as in perf_analyzer
_AGREEMENT = 1.1  # the longest of their medians over the shortest
_LEAST_SECONDS = 1.0
_LEAST_REQUESTS = 20  # in a window
_LEAST_REQUESTS_IN_ALL = 100


def until_steady(window: Callable[[float, int], Trace], rate: float, most_seconds: float) -> float:
    """Offer load in windows until the medians of three in a row agree within a tenth.

    Args:
        window: Offers `rate` for some seconds, told which window it is, and gives what happened.
        rate: Requests a second.
        most_seconds: After which it ends in any case; 0 for no warm-up at all.

    Returns:
        How many seconds of load were offered.
    """
    seconds = max(_LEAST_SECONDS, _LEAST_REQUESTS / rate)
    medians: list[float] = []
    requests = 0
    while (len(medians) + 1) * seconds <= most_seconds and not (
        _steady(medians) and requests >= _LEAST_REQUESTS_IN_ALL
    ):
        trace = window(seconds, len(medians) + 1)
        requests += len(trace)
        medians.append(float(np.median(trace.response_seconds)) if len(trace) else np.inf)
    return len(medians) * seconds


def _steady(medians: list[float]) -> bool:
    last = medians[-_WINDOWS:]
    return len(last) == _WINDOWS and max(last) <= _AGREEMENT * min(last) < np.inf
