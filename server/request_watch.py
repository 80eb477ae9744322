"""Told of every request, this keeps those that a person on call wants to see, and logs samples of them."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from server.log_sampling import CauseLog, Sampler
from server.observed_request import Failure, ObservedRequest, set_current
from server.slow_requests import RequestSummary, SlowRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from server.errors import ServingError
    from server.tracing import Tracing

logger = logging.getLogger(__name__)

_GRPC_PEER = re.compile("(ipv[46]:.*):[0-9]+")
_MOST_CHARACTERS = 300  # of what a caller was told, which may quote what it sent


class RequestWatch:
    """Told of every request and every call; for the event loop alone.

    A request that was answered, but took `slow_seconds`, is logged, samples at least; 0 logs none. Without `tracing`
    nobody is asked for trace contexts and no spans are made.
    """

    def __init__(self, slow_seconds: float, slow_requests: SlowRequests, tracing: Tracing | None = None) -> None:
        self._slow_ns = slow_seconds * 1e9 or float("inf")
        self._slow_requests = slow_requests
        self._tracing = tracing
        self._sampler = Sampler()
        self._causes = CauseLog(logger)

    def call(
        self, method: str, peer: Callable[[], str], metadata: Callable[[], Iterable[tuple[str, Any]]]
    ) -> ObservedRequest:
        """A call of `method` ("service/method") has come; what this task does from now on is for it.

        `peer()` and `metadata()` give the caller's address and headers; they are asked for only where needed.
        """
        request = ObservedRequest(method, peer)
        if self._tracing:
            self._tracing.start_call(request, metadata())
        set_current(request)
        return request

    def message(self, stream: ObservedRequest) -> ObservedRequest:
        """A message of the call `stream` has come, which is a request of its own for the task that answers it."""
        request = ObservedRequest(stream.method, stream.peer)
        if self._tracing:
            self._tracing.start_message(request, stream)
        set_current(request)
        return request

    def failed(self, request: ObservedRequest, error: ServingError) -> None:
        """A request, or a part of it, has failed; told more than once, the first failure is what it failed for."""
        if request.failure:
            return
        request.failure = Failure(error.code.name, error.reason, str(error))
        summary = self._summary(request, time.monotonic_ns())
        self._slow_requests.add(summary)
        suppressed = self._sampler.admit(error.reason)
        if suppressed is not None:
            _log(f"request failed: {str(error)[:_MOST_CHARACTERS]}", request, summary, suppressed)

    def broke(self, request: ObservedRequest, error: Exception) -> None:
        """A call met a bug of ours."""
        fields = {"method": request.method, "request_id": request.request_id, "model": request.model}
        self._causes.error("a call failed in a way that nobody thought of", error, **fields)

    def ended(self, request: ObservedRequest) -> None:
        """A request has ended, well unless it `failed` before."""
        ended_ns = time.monotonic_ns()
        if request.failure is None and request.runs:
            self._look_at_time(request, ended_ns)
        if request.trace is not None and self._tracing:
            self._tracing.end(request, ended_ns)

    def _look_at_time(self, request: ObservedRequest, ended_ns: int) -> None:
        taken_ns = ended_ns - request.started_ns
        if self._slow_requests.is_among_slowest(taken_ns / 1e6):
            self._slow_requests.add(self._summary(request, ended_ns))
        if taken_ns >= self._slow_ns and (suppressed := self._sampler.admit("slow")) is not None:
            _log("request was slow", request, self._summary(request, ended_ns), suppressed)

    def _summary(self, request: ObservedRequest, ended_ns: int) -> RequestSummary:
        trace_id, span_id = self._tracing.ids(request) if self._tracing else ("", "")
        return RequestSummary(
            finished=time.time(),
            request_id=request.request_id,
            model=request.model,
            version=request.version,
            method=request.method,
            code=request.failure.code if request.failure else "OK",
            reason=request.failure.reason if request.failure else "",
            batch_size=request.batch_rows,
            breakdown=request.breakdown(ended_ns),
            trace_id=trace_id,
            span_id=span_id,
        )


def _log(what: str, request: ObservedRequest, summary: RequestSummary, suppressed: int) -> None:
    """One line about a request, and its fields."""
    fields = {
        "request_id": summary.request_id,
        "model": summary.model,
        "version": summary.version,
        "method": summary.method,
        "code": summary.code,
        "reason": summary.reason,
        "batch_size": summary.batch_size,
        "peer": _GRPC_PEER.sub(r"\1", request.peer()),  # the port tells nothing; callers by HTTP come without
        **{name: round(value, 3) for name, value in asdict(summary.breakdown).items()},
        "trace_id": summary.trace_id,
        "span_id": summary.span_id,
        "suppressed": suppressed or None,
    }
    whose = "/".join(filter(None, (summary.model, summary.version)))
    logger.warning("%s%s", whose and f"{whose}: ", what, extra=fields)
