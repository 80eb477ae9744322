"""One second of the charts, and the table of models, as the page reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.live.outcomes import OUTCOMES
from server.model_states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.live.counts import Counts
    from server.live.quantile import Quantile
    from server.live.reading import Activity, ModelReading, Reading
    from server.model_states import IndexEntry
    from server.slow_requests import RequestSummary

PERCENTILES = (50, 95, 99)


def point(second: Activity, window: Activity, now: Reading) -> dict[str, Any]:
    """What the charts show of one `second`; latencies and where time goes are of the `window` that ends with it.

    Rates are per second, times in seconds, memory in bytes, processors in cores; what there is nothing to tell of is
    None. `queue` is that of the model whose queue is the fullest.
    """
    done, recent = second.asked, window.asked
    fullest = max(now.models, key=lambda model: (model.waiting / max(model.capacity, 1), model.waiting), default=None)
    return {
        "rates": [_rounded(second.outcomes[outcome] / second.seconds) for outcome in OUTCOMES],
        "latency": [each.value if (each := recent.quantile(share / 100)) else None for share in PERCENTILES],
        "stages": [_rounded(max(seconds, 0.0), 6) for seconds in recent.mean_stages().values()] or None,
        "batch": [done.mean_batch and _rounded(done.mean_batch), max(+done.batches, default=None)],
        "queue": [fullest.waiting, fullest.capacity] if fullest else None,
        "reasons": {reason: _rounded(count / second.seconds) for reason, count in second.refused.items() if count},
        "processors": [_rounded(second.process_cores), _rounded(second.machine_share)],
        "memory": [now.host.resident_bytes, now.host.machine_used_bytes],
        "lag": _rounded(now.lag_seconds, 5),
    }


def summary(window: Activity, now: Reading) -> dict[str, Any]:
    """The figures above the charts, of the last seconds."""
    recent, outcomes = window.asked, window.outcomes
    ended = sum(outcomes.values())
    runs = [model for model in now.models if model.instances]  # all but ensembles, which have no queue either
    return {
        "seconds": round(window.seconds),
        "rate": ended / window.seconds,
        "outcomes": outcomes,
        "latency": [_quantile(recent.quantile(share / 100)) for share in PERCENTILES],
        "not_answered": (ended - outcomes["ok"]) / ended if ended else None,
        "waiting": sum(model.waiting for model in runs),
        "capacity": sum(model.capacity for model in runs),
        "busy": sum(model.busy for model in runs),
        "instances": sum(model.instances for model in runs),
    }


def model_rows(index: Sequence[IndexEntry], window: Activity) -> list[dict[str, Any]]:
    """One row for each version of the repository's index, with what it did within `window` if it is ready."""
    ready = {(model.name, model.version): (model, counts) for model, counts in window.models}
    rows = []
    for entry in index:
        row = {"name": entry.name, "version": entry.version, "state": entry.state.value, "reason": entry.reason}
        found = ready.get((entry.name, entry.version))
        if found and entry.state is State.READY:
            row |= _model(*found, window.seconds)
        rows.append(row)
    return rows


def _model(model: ModelReading, counts: Counts, seconds: float) -> dict[str, Any]:
    return {
        "rate": counts.succeeded / seconds,
        "latency": [_quantile(counts.quantile(share / 100)) for share in PERCENTILES],
        "batch": counts.mean_batch,
        "waiting": model.waiting,
        "capacity": model.capacity,
        "busy": model.busy,
        "instances": model.instances,
        "failures": {reason: count / seconds for reason, count in counts.failures.items() if count},
        "total": model.counts.succeeded,
        "failed_total": model.counts.failures.total(),
    }


def request_row(request: RequestSummary) -> dict[str, Any]:
    """A request that was slow, or failed; times in seconds."""
    parts = request.breakdown
    return {
        "finished": request.finished,
        "id": request.request_id,
        "model": request.model,
        "version": request.version,
        "method": request.method.rpartition("/")[2],
        "reason": request.reason,
        "batch": request.batch_size,
        "total": parts.total_ms / 1e3,
        "stages": [ms / 1e3 for ms in (parts.decode_ms, parts.queue_ms, parts.compute_ms, parts.rest_ms)],
    }


def _quantile(found: Quantile | None) -> list[float | None] | None:
    """Value, and the edges between which it lies; the upper one is None where there is none."""
    return [found.value, found.low, found.high if found.high < float("inf") else None] if found else None


def _rounded(value: float, digits: int = 3) -> float:
    return round(value, digits)
