"""`python -m loadtest.null_server`: answers without work, or as a known queue would: what measures the load generator.

It takes what the real server takes, ModelInfer and Classify, refuses bad input as that does, and answers constants.
With service times, stalls and a capacity it becomes a queue whose percentiles theory gives. MLPerf's LoadGen measures
itself against a null system, too (loadgen/tests/perftests_null_sut.py).
"""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
from prometheus_client import start_http_server
from tritonclient.grpc import service_pb2

from loadtest import event_loop
from loadtest.arguments import duration, duration_or_none, port, whole
from loadtest.null_model import NAME, VERSION, NullModel, Refused, classify_reply, infer_reply
from loadtest.service_model import ServiceModel, Stall, service_times

if TYPE_CHECKING:
    from collections.abc import Callable

# Protobuf's tags of a ModelInferRequest's first fields.
_MODEL_NAME, _MODEL_VERSION, _ID = b"\x0a", b"\x12", b"\x1a"
_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def main() -> None:
    """Serve until a signal."""
    event_loop.run(_serve(_parse_arguments()))


async def _serve(arguments: argparse.Namespace) -> None:
    service = None
    if arguments.service or arguments.stall or arguments.capacity:
        kind, _, mean = (arguments.service or "constant:0").partition(":")
        draw = service_times(kind, duration_or_none(mean), arguments.seed)
        service = ServiceModel(draw, arguments.servers, tuple(arguments.stall), arguments.capacity)
    server = grpc.aio.server(options=_OPTIONS)
    queue = _Queue(service, arguments.leak)
    model = NullModel(arguments.payload, arguments.size)
    infer, classify = _unread() if arguments.any_input else (model.infer, model.classify)
    handlers = {
        "inference.GRPCInferenceService": {"ModelInfer": queue.answer(infer), **_descriptions(model, queue)},
        "coordserve.v1.Classifier": {"Classify": queue.answer(classify)},
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, methods) for name, methods in handlers.items()]
    )
    address = f"{arguments.host}:{arguments.grpc_port}"
    try:
        found = server.add_insecure_port(address)
    except RuntimeError:  # of whatever kind, and gRPC's text tells no more
        sys.exit(f"loadtest.null_server: cannot listen on {address}")
    await server.start()
    print(f"listening: gRPC on {arguments.host}:{found}{_serve_metrics(arguments)}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(None)


def _serve_metrics(arguments: argparse.Namespace) -> str:
    """Begin to, if asked to; gives where."""
    if arguments.metrics_port is None:
        return ""
    server, _ = start_http_server(arguments.metrics_port, addr=arguments.host)
    return f", metrics on http://{arguments.host}:{server.server_port}/metrics"


class _Queue:
    """Answers when the service model says so, and keeps the books that ModelStatistics tells."""

    def __init__(self, service: ServiceModel | None, leak_bytes: int) -> None:
        self._service = service
        self._leak_bytes = leak_bytes
        self._leaked: list[bytes] = []
        self._start: float | None = None
        self.answered = self.refused = self.nanoseconds = 0

    def answer(self, reply: Callable[[bytes], bytes]) -> Any:
        """A handler that answers every call in its time with what `reply` makes of it, or refuses it at once."""

        async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            try:
                answer = reply(request)
            except Refused as refusal:
                self.refused += 1
                await context.abort(refusal.code, str(refusal))
            if self._service:
                await self._wait(self._service, context)
            self.answered += 1
            if self._leak_bytes:
                self._leaked.append(b"x" * self._leak_bytes)
            return answer

        return grpc.unary_unary_rpc_method_handler(handle)  # without deserialiser: the bytes as they came

    def statistics(self) -> Any:
        """ModelStatistics."""
        response = service_pb2.ModelStatisticsResponse()
        statistics = response.model_stats.add(name=NAME, version=VERSION, inference_count=self.answered)
        statistics.execution_count = self.answered
        for stage in ("success", "compute_infer"):
            time_spent = getattr(statistics.inference_stats, stage)
            time_spent.count, time_spent.ns = self.answered, self.nanoseconds
        statistics.inference_stats.fail.count = self.refused
        return response

    async def _wait(self, service: ServiceModel, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        arrival = time.perf_counter()
        start = self._start = self._start or arrival
        end = service.arrive(arrival - start)
        if end is None:
            self.refused += 1
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no place in the queue")
        # An instant, not a time to wait: a late wake-up delays this answer, and none of the next ones.
        await asyncio.sleep(start + end - time.perf_counter())
        self.nanoseconds += int((time.perf_counter() - arrival) * 1e9)


def _unread() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """What answers ModelInfer and Classify whatever they ask, faster than it could be read."""
    infer, classify = infer_reply(), classify_reply([True])
    return lambda request: infer + _id_field(request), lambda _request: classify


def _id_field(request: bytes) -> bytes:
    """The field `id` of a ModelInferRequest as it stands there, which is how it stands in the response, too.

    Clients that have many requests under way know answers by it. Nothing else is parsed: serialisers write it third,
    after two fields that are short.
    """
    start = 0
    while request[start : start + 1] in (_MODEL_NAME, _MODEL_VERSION) and start + 1 < len(request):
        start += 2 + request[start + 1]
    has_id = request[start : start + 1] == _ID and start + 1 < len(request)
    return request[start : start + 2 + request[start + 1]] if has_id else b""


def _descriptions(model: NullModel, queue: _Queue) -> dict[str, Any]:
    """A handler for each method that a client asks before it sends load, by its name."""
    server = service_pb2.ServerMetadataResponse(name="null", version="0", extensions=["statistics"])
    index = service_pb2.RepositoryIndexResponse(models=[{"name": NAME, "version": VERSION, "state": "READY"}])
    return {
        "ServerMetadata": _handler(lambda _request: server),
        "RepositoryIndex": _handler(lambda _request: index),
        "ModelMetadata": _handler(model.metadata),
        "ModelConfig": _handler(model.config),
        "ModelStatistics": _handler(lambda _request: queue.statistics()),
    }


def _handler(answer: Callable[[bytes], Any]) -> Any:
    """A handler that answers with what `answer` makes of a request."""

    async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            serialised: bytes = answer(request).SerializeToString()
        except Refused as refusal:
            await context.abort(refusal.code, str(refusal))
        return serialised

    return grpc.unary_unary_rpc_method_handler(handle)


def _stall(text: str) -> Stall:
    seconds, _, start = text.partition("@")
    return Stall(duration_or_none(start), duration(seconds))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.null_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="default %(default)s")
    parser.add_argument("--grpc-port", type=port, default=0, help="default: any that is free, which is printed")
    parser.add_argument("--payload", choices=("uint8", "float32"), default="uint8", help="tensors that its model takes")
    parser.add_argument("--size", type=whole, default=224, help="of its model's images, in pixels (default 224)")
    parser.add_argument(
        "--service", type=_service, help="service times: constant:5ms or exponential:5ms (default none)"
    )
    parser.add_argument("--servers", type=whole, default=1, help="requests that are served at a time (default 1)")
    parser.add_argument("--capacity", type=whole, help="requests that may be there; more are refused (default: any)")
    parser.add_argument(
        "--stall", type=_stall, action="append", default=[], help="1s@10s: for 1 s, 10 s after the first"
    )
    parser.add_argument("--seed", type=int, default=0, help="of service times (default 0)")
    parser.add_argument(
        "--leak", type=whole, default=0, help="bytes of each request that it keeps for ever (default 0)"
    )
    parser.add_argument("--any-input", action="store_true", help="answer anything unread: the least that a server does")
    parser.add_argument("--metrics-port", type=port, help="serve its memory there; 0 for any that is free")
    return parser.parse_args()


def _service(text: str) -> str:
    kind, _, mean = text.partition(":")
    try:
        service_times(kind, duration(mean))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


if __name__ == "__main__":
    main()
