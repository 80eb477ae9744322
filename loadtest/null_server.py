"""`python -m loadtest.null_server`: answers without work, or as a known queue would: what measures the load generator.

It takes what the real server takes, ModelInfer and Classify of any payload, and answers constants. With service times,
stalls and a capacity it becomes a queue whose percentiles theory gives. MLPerf's LoadGen measures itself against a null
system, too (loadgen/tests/perftests_null_sut.py).
"""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import grpc
from prometheus_client import start_http_server
from tritonclient.grpc import model_config_pb2, service_pb2

from loadtest import event_loop
from loadtest.arguments import duration, duration_or_none, port, whole
from loadtest.service_model import ServiceModel, Stall, service_times
from proto import classifier_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "null"
_CLASSES = 10
# Protobuf's tags of a ModelInferRequest's first fields.
_MODEL_NAME, _MODEL_VERSION, _ID = b"\x0a", b"\x12", b"\x1a"
_MAX_BATCH_SIZE = 1024
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


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
    handlers = {
        "inference.GRPCInferenceService": {
            "ModelInfer": queue.answer(_infer_reply(), _id_field),
            **_Inference(arguments, queue).handlers(),
        },
        "coordserve.v1.Classifier": {"Classify": queue.answer(_classify_reply())},
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, methods) for name, methods in handlers.items()]
    )
    found = server.add_insecure_port(f"{arguments.host}:{arguments.grpc_port}")
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

    def answer(self, reply: bytes, add: Callable[[bytes], bytes] = lambda _request: b"") -> Any:
        """A handler that answers every call with `reply`, and what is to be added to it, in its time."""

        async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            if self._service:
                await self._wait(self._service, context)
            self.answered += 1
            if self._leak_bytes:
                self._leaked.append(b"x" * self._leak_bytes)
            return reply + add(request)

        return grpc.unary_unary_rpc_method_handler(handle)  # without deserialiser: the bytes as they came

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


class _Inference:
    """What a client asks before it sends load."""

    def __init__(self, arguments: argparse.Namespace, queue: _Queue) -> None:
        self._shape = [arguments.size, arguments.size, 3]
        self._datatype = {"uint8": "UINT8", "float32": "FP32"}[arguments.payload]
        self._queue = queue

    def handlers(self) -> dict[str, Any]:
        """A handler for each method, by its name."""
        answers = {
            "ServerMetadata": service_pb2.ServerMetadataResponse(name="null", version="0", extensions=["statistics"]),
            "RepositoryIndex": service_pb2.RepositoryIndexResponse(
                models=[{"name": MODEL, "version": "1", "state": "READY"}]
            ),
            "ModelMetadata": self._metadata(),
            "ModelConfig": self._config(),
        }
        constant = {name: _constant(answer) for name, answer in answers.items()}
        return constant | {"ModelStatistics": _handler(self._statistics)}

    def _metadata(self) -> Any:
        tensor = {"name": "INPUT__0", "datatype": self._datatype, "shape": [-1, *self._shape]}
        output = {"name": "OUTPUT__0", "datatype": "FP32", "shape": [-1, _CLASSES]}
        return service_pb2.ModelMetadataResponse(name=MODEL, versions=["1"], inputs=[tensor], outputs=[output])

    def _config(self) -> Any:
        config = model_config_pb2.ModelConfig(name=MODEL, max_batch_size=_MAX_BATCH_SIZE)
        config.output.add(name="OUTPUT__0", dims=[_CLASSES])
        return service_pb2.ModelConfigResponse(config=config)

    def _statistics(self) -> Any:
        queue, response = self._queue, service_pb2.ModelStatisticsResponse()
        statistics = response.model_stats.add(name=MODEL, version="1", inference_count=queue.answered)
        statistics.execution_count = queue.answered
        for stage in ("success", "compute_infer"):
            time_spent = getattr(statistics.inference_stats, stage)
            time_spent.count, time_spent.ns = queue.answered, queue.nanoseconds
        statistics.inference_stats.fail.count = queue.refused
        return response


def _constant(answer: Any) -> Any:
    """A handler that always answers the same."""
    return _handler(lambda: answer)


def _handler(answer: Callable[[], Any]) -> Any:
    """A handler that answers with what `answer` gives."""

    async def handle(_request: bytes, _context: object) -> bytes:
        serialised: bytes = answer().SerializeToString()
        return serialised

    return grpc.unary_unary_rpc_method_handler(handle)


def _infer_reply() -> bytes:
    response = service_pb2.ModelInferResponse(
        model_name=MODEL, model_version="1", raw_output_contents=[bytes(4 * _CLASSES)]
    )
    response.outputs.add(name="OUTPUT__0", datatype="FP32", shape=[1, _CLASSES])
    reply: bytes = response.SerializeToString()
    return reply


def _classify_reply() -> bytes:
    response = classifier_pb2.ClassifyResponse(model_name=MODEL, model_version="1")
    classes = response.results.add().classes
    for index in range(5):
        classes.add(index=index, label=f"class {index}", probability=0.2)
    reply: bytes = response.SerializeToString()
    return reply


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
