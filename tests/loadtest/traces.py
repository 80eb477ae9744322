"""Runs that never happened, for tests of what is said about runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from loadtest.run import Conditions, Run
from loadtest.trace import OUTCOME, Trace

DROPPED = float("nan")
FAILED = float("inf")


def trace(latency_ms: list[float], lag_ms: float = 0.0) -> Trace:
    """One request a millisecond, each `lag_ms` late; a latency is FAILED for an error and DROPPED for a drop."""
    count = len(latency_ms)
    due = np.arange(count) / 1e3
    milliseconds = np.array(latency_ms)
    dropped, failed = np.isnan(milliseconds), np.isinf(milliseconds)
    outcome = np.where(dropped, OUTCOME["DROPPED"], np.where(failed, OUTCOME["UNAVAILABLE"], OUTCOME["OK"]))
    return Trace(
        due=due,
        sent=np.where(dropped, np.nan, due + lag_ms / 1e3),
        done=due + np.where(failed, 1e3, milliseconds) / 1e3,
        message=np.zeros(count, np.int32),
        outcome=outcome.astype(np.uint8),
    )


def run(latency_ms: list[float], lag_ms: float = 0.0, client_cpu: float = 0.1, **fields: Any) -> Run:
    """A run of such a trace."""
    count = len(latency_ms)
    values: dict[str, Any] = {"label": "run", "seconds": count / 1e3, "rate": 1000.0} | fields
    values.setdefault("conditions", Conditions(client_cpu))
    return Run(trace=values.pop("trace", None) or trace(latency_ms, lag_ms), **values)
