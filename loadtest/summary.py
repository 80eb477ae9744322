"""From a trace to what it says: percentiles, errors, and whether the measurement can be believed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadtest.generator import Trace

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
_MOST_CLIENT_CPU = 0.8  # of one core; a busier client measures itself
_LEAST_ACHIEVED = 0.99


def summarize(trace: Trace, objective_ms: float | None = None) -> dict[str, Any]:
    """The run's summary; its keys are those of summary.json.

    `latency_ms` counts from the instant at which a request was due, `service_ms` from when it was sent. A request that
    failed or was dropped never gets an answer, so its latency is infinite (written as null). `verdict` is "met",
    "missed" or "invalid"; `reasons` tells why the latter.
    """
    answered = trace.status == "OK"
    latency = np.where(answered, trace.done - trace.due, np.inf) * 1e3
    service = np.where(answered, trace.done - trace.sent, np.inf) * 1e3
    reasons = _doubts(trace, objective_ms)
    met = objective_ms is None or float(np.quantile(latency, 0.99, method="higher")) <= objective_ms
    statuses = Counter(trace.status.tolist())
    span = float(trace.due[-1]) or 1.0
    return {
        "verdict": "invalid" if reasons else "met" if met else "missed",
        "reasons": reasons,
        "objective_ms": objective_ms,
        "requests": len(trace.due),
        "offered_rate": len(trace.due) / span,
        "achieved_rate": float(answered.sum()) / max(span, float(np.nanmax(trace.done, initial=0.0))),
        "latency_ms": _percentiles(latency),
        "service_ms": _percentiles(service),
        "errors": {code: count for code, count in sorted(statuses.items()) if code not in ("OK", "DROPPED")},
        "dropped": statuses["DROPPED"],
        "client_cpu": trace.client_cpu,
    }


def _percentiles(values_ms: NDArray[np.float64]) -> dict[str, float | None]:
    found = {name: float(np.percentile(values_ms, rank, method="higher")) for name, rank in _PERCENTILES.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def _doubts(trace: Trace, objective_ms: float | None) -> list[str]:
    """Why the client, and not the server, may have been what was measured."""
    doubts = []
    lag_ms = (trace.sent - trace.due)[~np.isnan(trace.sent)] * 1e3
    most_lag_ms = max(1.0, 0.05 * (objective_ms or 100.0))
    lag = float(np.percentile(lag_ms, 99)) if len(lag_ms) else 0.0
    if lag > most_lag_ms:
        doubts.append(f"the client sent late: p99 of its lag is {lag:.1f} ms, more than {most_lag_ms:.1f}")
    if trace.client_cpu > _MOST_CLIENT_CPU:
        doubts.append(f"the client was busy for {trace.client_cpu:.0%} of the time, more than {_MOST_CLIENT_CPU:.0%}")
    sent = float((~np.isnan(trace.sent)).mean())
    if sent < _LEAST_ACHIEVED:
        doubts.append(f"only {sent:.1%} of the requests could be sent")
    return doubts
