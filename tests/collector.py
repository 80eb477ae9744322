"""A collector of traces, as OpenTelemetry's exporters find one, and callers who are in traces of their own."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.serving import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc] # generated without types
    """Keeps what it is sent; `with Collector() as collector:` listens at `collector.endpoint`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        """Listen."""
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._server.stop(None).wait()

    def Export(self, request: Any, _context: object) -> Any:  # noqa: N802 - the method's name
        """Keep what has come."""
        with self._changed:
            for each in request.resource_spans:
                self.resources.append(attributes(each.resource))
                self._spans += [span for scope in each.scope_spans for span in scope.spans]
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait(self, wanted: Callable[[Span], bool], count: int = 1) -> list[Span]:
        """Wait until `count` spans have come that are `wanted`."""
        end = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while len(found := [span for span in self._spans if wanted(span)]) < count:
                assert self._changed.wait(end - time.monotonic()), f"{len(found)} of {count}: {self._spans}"
        return found

    def trace(self, trace_id: bytes, count: int) -> dict[str, list[Span]]:
        """The `count` spans of a trace by name, once they have come; more are an error."""
        spans = self.wait(lambda span: span.trace_id == trace_id, count)
        assert len(spans) == count, spans
        return {name: [span for span in spans if span.name == name] for name in {span.name for span in spans}}

    @property
    def spans(self) -> list[Span]:
        """All that has come."""
        with self._changed:
            return list(self._spans)


class Caller:
    """A trace of a caller's, of which a call becomes a part."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.trace_id, self.span_id = os.urandom(16), os.urandom(8)
        flags = "01" if sampled else "00"
        self.headers = {
            "traceparent": f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{flags}",
            "tracestate": "vendor=opaque",
        }

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """The headers, as stubs take them."""
        return list(self.headers.items())


def attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in owner.attributes}
