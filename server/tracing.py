"""OpenTelemetry traces: a span for each call, its request's decoding, waiting and computing, and one for each batch.

Spans of what is over are made when a request ends, from the instants that are noted anyway, so that a request that is
not sampled costs one span that records nothing. Calls are told as the semantic conventions for gRPC say, see
https://opentelemetry.io/docs/specs/semconv/rpc/grpc/; their callers' traces go on, by W3C's headers. Everything else is
set by OpenTelemetry's own variables, `OTEL_*`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

    from server.instance import Execution
    from server.observed_request import ObservedRequest, Stage

_DEFAULT_SERVICE = "coordserve"
_HEADERS = ("traceparent", "tracestate")
# Of a call that ends so the server says that it failed; all others are the caller's business.
_SERVER_ERRORS = frozenset(("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"))


class Tracing:
    """Makes spans of requests and sends them, from a thread of its own, to a collector.

    Nobody waits for the collector: what does not fit into the exporter's queue is dropped. `export` takes its place in
    tests.
    """

    def __init__(self, version: str, exporter: SpanExporter | None = None) -> None:
        named = Resource.create({SERVICE_VERSION: version})  # with OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
        if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
            named = named.merge(Resource({SERVICE_NAME: _DEFAULT_SERVICE}))
        self._processor = BatchSpanProcessor(exporter or OTLPSpanExporter())
        self._requests = self._tracer(named, version)
        # A batch is recorded if any of its requests is.
        self._batches = self._tracer(named, version, ALWAYS_ON)

    def _tracer(self, resource: Resource, version: str, sampler: Sampler | None = None) -> trace.Tracer:
        provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        return provider.get_tracer(_DEFAULT_SERVICE, version)

    def start_call(self, request: ObservedRequest, metadata: Iterable[tuple[str, Any]]) -> None:
        """Begin the span of a call, a part of its caller's trace if the headers `metadata` tell of one."""
        headers = {key: value for key, value in metadata if key in _HEADERS}
        request.trace = self._requests.start_span(
            request.method,
            TraceContextTextMapPropagator().extract(headers),
            SpanKind.SERVER,
            {"rpc.system.name": "grpc", "rpc.method": request.method},
            start_time=request.started_ns + _since_epoch_ns(),
        )

    def start_message(self, request: ObservedRequest, stream: ObservedRequest) -> None:
        """Begin the span of a message, in its stream's."""
        request.trace = self._requests.start_span(
            f"{request.method} message",
            trace.set_span_in_context(stream.trace),
            start_time=request.started_ns + _since_epoch_ns(),
        )

    def end(self, request: ObservedRequest, ended_ns: int) -> None:
        """End a request's span, and tell of what was done for it."""
        span: Span = request.trace
        if span.is_recording():
            offset_ns = _since_epoch_ns()
            span.set_attributes(_attributes(request))
            if request.failure and request.code in _SERVER_ERRORS:
                span.set_status(StatusCode.ERROR, request.failure.text)
            context = trace.set_span_in_context(span)
            for stage in request.stages():
                self._tell(stage, context, request, offset_ns)
            span.end(ended_ns + offset_ns)

    def _tell(self, stage: Stage, context: Any, request: ObservedRequest, offset_ns: int) -> None:
        attributes: dict[str, Any] = {"coordserve.model": stage.model}
        links = []
        if stage.reply:
            attributes["coordserve.batch_size"] = stage.reply.batch_rows
            links.append(Link(self._batch(stage, request, offset_ns)))
        start, end = stage.started_ns + offset_ns, stage.ended_ns + offset_ns
        span = self._requests.start_span(stage.name, context, attributes=attributes, links=links, start_time=start)
        if stage.name == "compute" and not stage.reply:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def _batch(self, stage: Stage, request: ObservedRequest, offset_ns: int) -> SpanContext:
        """The span of the batch; the first of its requests that ends makes it, with links to all that are sampled."""
        assert stage.reply  # noqa: S101 - the caller has looked
        execution: Execution[Any] = stage.reply.execution
        if execution.batch_trace is None:
            contexts = [each.get_span_context() for each in execution.request_traces if each is not None]
            links = [Link(context) for context in contexts if context.trace_flags.sampled]
            attributes: dict[str, Any] = {
                "coordserve.model": stage.model,
                "coordserve.batch_size": stage.reply.batch_rows,
            }
            if stage.model == request.model:
                attributes["coordserve.model_version"] = request.version
            start, end = stage.started_ns + offset_ns, stage.ended_ns + offset_ns
            span = self._batches.start_span(
                "batch",
                trace.set_span_in_context(trace.INVALID_SPAN),
                attributes=attributes,
                links=links,
                start_time=start,
            )
            span.end(end)
            execution.batch_trace = span.get_span_context()
        context: SpanContext = execution.batch_trace
        return context

    def ids(self, request: ObservedRequest) -> tuple[str, str]:
        """The hexadecimal ids of a request's trace and span; empty ones where it is in no trace."""
        context = request.trace.get_span_context() if request.trace else trace.INVALID_SPAN_CONTEXT
        if not context.is_valid:
            return "", ""
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def close(self, timeout_seconds: float) -> None:
        """Send what is left, for at most `timeout_seconds`; blocks."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True, name="tracing-close")
        closing.start()
        closing.join(timeout_seconds)


def _attributes(request: ObservedRequest) -> dict[str, Any]:
    failure = request.failure
    attributes: dict[str, Any] = {
        "rpc.response.status_code": request.code,
        "coordserve.outcome": failure.reason if failure else "ok",
    }
    if request.code != "OK":
        attributes["error.type"] = request.code
    if request.model:
        attributes |= {"coordserve.model": request.model, "coordserve.model_version": request.version}
    if request.request_id:
        attributes["coordserve.request_id"] = request.request_id
    return attributes if not request.runs else attributes | {"coordserve.batch_size": request.batch_rows}


def _since_epoch_ns() -> int:
    """What to add to an instant of `time.monotonic_ns` for nanoseconds since 1970."""
    return time.time_ns() - time.monotonic_ns()
