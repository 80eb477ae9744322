"""What happens when it becomes too much: how long a burst is felt, what is refused and how fast, and slow drifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.objective import USUAL_LIMIT_SECONDS
from loadtest.percentiles import percentiles_ms
from loadtest.schedule import BURST_PERIOD_SECONDS, BURST_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadtest.objective import Objective
    from loadtest.run import Run

_WINDOWS = 10
_MOST_OF_DEADLINE = 0.99  # gRPC's timers are a little early


def findings(run: Run, objective: Objective | None) -> dict[str, Any]:
    """How long after the end of each burst requests still took longer than the objective.

    `recovery_seconds` has a number for each burst, from its end until the last request that was due before the next
    burst and took too long; 0 where none did.
    """
    limit = objective.limit_seconds if objective else USUAL_LIMIT_SECONDS
    period = min(BURST_PERIOD_SECONDS, run.seconds)
    start, end = period * (1 - BURST_SHARE) / 2, period * (1 + BURST_SHARE) / 2
    late = run.trace.due[~(run.trace.response_seconds <= limit)]
    return {
        "recovery_seconds": [
            _last(late, first + end, first + period + start) for first in np.arange(0, run.seconds - end, period)
        ],
        "recovery_limit_ms": limit * 1e3,
    }


def _last(late: NDArray[np.float64], end: float, following: float) -> float:
    felt = late[(late >= end) & (late < following)]
    return float(felt[-1] - end) if len(felt) else 0.0


def rejections(run: Run, deadline_seconds: float) -> dict[str, Any]:
    """What an overloaded server refused, and how long a refused caller waited for that; and what it said nothing to.

    A call that failed when its deadline had passed was not refused, and one that was dropped was never sent.
    """
    trace = run.trace
    failed = ~trace.ok & ~np.isnan(trace.done)
    timed_out = failed & (trace.done - trace.sent >= _MOST_OF_DEADLINE * deadline_seconds)
    refused = failed & ~timed_out
    waits = (trace.done - trace.due)[refused]
    return {
        "answered_per_second": float(np.count_nonzero(trace.ok)) / trace.answering_seconds(run.seconds),
        "refused_share": _share(refused),
        "timed_out_share": _share(timed_out),
        "dropped_share": _share(np.isnan(trace.sent)),
        "failures": {name: count for name, count in trace.outcome_counts().items() if name != "OK"},
        "refusal_ms": percentiles_ms(waits),
    }


def _share(requests: NDArray[np.bool_]) -> float:
    return float(requests.mean()) if len(requests) else 0.0


def drift(run: Run) -> dict[str, Any]:
    """p50 and p99 in each tenth of the run, where enough requests tell them."""
    trace = run.trace
    tenth = np.minimum((trace.due / run.seconds * _WINDOWS).astype(int), _WINDOWS - 1)
    tables = [percentiles_ms(trace.response_seconds[tenth == number]) for number in range(_WINDOWS)]
    found = {f"{name}_ms_by_tenth": [each[name] for each in tables] for name in ("p50", "p99")}
    return {name: values for name, values in found.items() if any(each is not None for each in values)}
