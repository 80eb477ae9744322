"""What the server says of a time: the difference of two of its ModelStatistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT_SECONDS = 10.0
_STAGES = ("queue", "compute_input", "compute_infer", "compute_output")
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class ServerSplit:
    """Where the server says that the time of the requests it answered went.

    Attributes:
        requests: Requests that it answered with success.
        failures: Requests that it did not.
        images: Images that it computed.
        executions: Batches in which it did.
        request_ms: Mean time of a request in the server; None without any.
        queue_ms: Mean wait for an instance.
        compute_input_ms: Mean time in which inputs were gathered.
        compute_infer_ms: Mean time in the model, of the whole batch that a request was in.
        compute_output_ms: Mean time in which outputs were handed out.
        batch_sizes: Executions by the size of their batch; empty where the server does not tell.
    """

    requests: int
    failures: int
    images: int
    executions: int
    request_ms: float | None
    queue_ms: float | None
    compute_input_ms: float | None
    compute_infer_ms: float | None
    compute_output_ms: float | None
    batch_sizes: dict[int, int]

    @property
    def mean_batch(self) -> float | None:
        """Images in a batch, on average; None before the first."""
        return self.images / self.executions if self.executions else None


def snapshot(channel: grpc.Channel, models: Iterable[str]) -> Any:
    """The server's ModelStatistics of `models`, one for each version; None when it has none to give."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    try:
        return [
            statistics
            for model in sorted(set(models))
            for statistics in stub.ModelStatistics(
                service_pb2.ModelStatisticsRequest(name=model), timeout=_TIMEOUT_SECONDS
            ).model_stats
        ]
    except grpc.RpcError:
        return None


def split(before: Any, after: Any) -> ServerSplit | None:
    """What happened between two snapshots; None when one of them is missing."""
    if before is None or after is None:
        return None
    counts, sizes = _totals(after)
    earlier, earlier_sizes = _totals(before)
    # A version that was loaded anew begins at zero: what it did before is lost, and nothing is negative.
    delta = {name: max(0, value - earlier[name]) for name, value in counts.items()}
    grown = {size: count - earlier_sizes.get(size, 0) for size, count in sizes.items()}
    return ServerSplit(
        requests=delta["success"],
        failures=delta["fail"],
        images=delta["images"],
        executions=delta["executions"],
        request_ms=_mean_ms(delta["success_ns"], delta["success"]),
        **{f"{stage}_ms": _mean_ms(delta[f"{stage}_ns"], delta[stage]) for stage in _STAGES},
        batch_sizes={size: count for size, count in sorted(grown.items()) if count > 0},
    )


def _totals(statistics: Any) -> tuple[dict[str, int], dict[int, int]]:
    """Counts and nanoseconds over all models, and executions by batch size."""
    counts = {
        "images": sum(each.inference_count for each in statistics),
        "executions": sum(each.execution_count for each in statistics),
    }
    for name in ("success", "fail", *_STAGES):
        times = [getattr(each.inference_stats, name) for each in statistics]
        counts[name] = sum(time.count for time in times)
        counts[f"{name}_ns"] = sum(time.ns for time in times)
    sizes: dict[int, int] = {}
    for batch in (batch for each in statistics for batch in each.batch_stats):
        sizes[batch.batch_size] = sizes.get(batch.batch_size, 0) + batch.compute_infer.count
    return counts, sizes


def _mean_ms(total_ns: int, count: int) -> float | None:
    return total_ns / count / _NS_PER_MS if count else None
