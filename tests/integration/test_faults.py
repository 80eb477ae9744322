from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from proto import classifier_pb2
from tests.integration import rows
from tests.integration.books import check_books, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.gates import Door
    from tests.serving import ServerProcess

IDENTITY = bytes  # messages are sent as they are
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = struct.pack(">I", 0)[1:] + bytes([4, 0]) + bytes(4)
METHODS = [
    f"/{service.full_name}/{method.name}"
    for service in (
        service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        classifier_pb2.DESCRIPTOR.services_by_name["Classifier"],
    )
    for method in service.methods
]


@pytest.fixture
def neighbour(server: ServerProcess) -> Iterator[None]:
    """Another caller, who sends good requests all the time, over a connection of his own; each must be answered."""
    enough = threading.Event()
    failures: list[str] = []
    answered: list[int] = []

    def call() -> None:
        with rows.own_connection(server.grpc_address) as channel:
            infer = rows.stub(channel).ModelInfer
            while not enough.is_set() or not answered:
                try:
                    answered.extend(rows.answers(infer(rows.request("wide", len(answered)), timeout=30)))
                except grpc.RpcError as error:
                    failures.append(repr(error))

    thread = threading.Thread(target=call)
    thread.start()
    yield
    enough.set()
    thread.join()
    assert failures == []
    assert answered == list(range(len(answered)))
    check_books(server)


def _code(channel: grpc.Channel, method: str, message: bytes, **options: Any) -> Any:
    return _call(channel, method, message, **options).code()


def _call(channel: grpc.Channel, method: str, message: bytes, **options: Any) -> Any:
    """One message to any method; a stream of one and a single message are the same on the wire."""
    call = channel.stream_stream(method, request_serializer=None, response_deserializer=None)(
        iter([message]), **options
    )
    with contextlib.suppress(grpc.RpcError):
        list(call)
    return call


@pytest.mark.usefixtures("neighbour")
def test_messages_that_do_not_parse_are_invalid_for_every_method(channel: grpc.Channel) -> None:
    """Bytes that are no message of a method's type are refused, in one way for all methods."""
    garbage = b"\x0a\xff\xff\xff\xff\x0f tail"
    answers = {method: _call(channel, method, garbage) for method in METHODS}
    codes = {method: (call.code(), call.details()) for method, call in answers.items()}
    assert set(codes.values()) == {(grpc.StatusCode.INVALID_ARGUMENT, "Unable to parse request")}, codes


@pytest.mark.usefixtures("neighbour")
def test_damaged_requests_get_an_answer_that_blames_the_caller(channel: grpc.Channel) -> None:
    """Whatever bits of a good request flip, the answer is a result or tells of a bad request: never of a bug."""
    good = rows.request("wide", 7).SerializeToString()
    chance = random.Random(1)  # noqa: S311 - the same damage each time
    codes = set()
    for _ in range(400):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        codes.add(
            _code(channel, rows.MODEL_INFER, bytes(damaged[: chance.choice((len(good), chance.randrange(len(good))))]))
        )
    assert codes <= {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
    }
    assert grpc.StatusCode.INVALID_ARGUMENT in codes


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_above_the_limit_is_refused(channel: grpc.Channel, compression: grpc.Compression) -> None:
    """Neither size nor a compressed bomb of that size gets in; the same connection goes on."""
    huge = bytes(64 << 20)
    for method in (rows.MODEL_INFER, rows.STREAM_INFER, "/coordserve.v1.Classifier/Classify"):
        assert _code(channel, method, huge, compression=compression) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert rows.answers(rows.stub(channel).ModelInfer(rows.request("wide", 3))) == [3]


@pytest.mark.usefixtures("neighbour")
def test_long_names_come_back_as_an_error_that_fits(channel: grpc.Channel) -> None:
    """An unknown model is not found however long its name is; the answer does not grow with the question."""
    for name in ("m" * 100_000, "\N{SNOWMAN}" * 100_000, "line\nbreak\r\n\0"):
        message = service_pb2.ModelInferRequest(model_name=name).SerializeToString()
        call = _call(channel, rows.MODEL_INFER, message)
        assert call.code() is grpc.StatusCode.NOT_FOUND
        assert call.details().startswith("Request for unknown model: '")


@pytest.mark.usefixtures("neighbour")
def test_streams_that_are_left_open_or_reset_cost_nobody_anything(server: ServerProcess) -> None:
    """Callers that open streams, ask once, and vanish without a word leave nothing behind."""
    with rows.own_connection(server.grpc_address) as channel:
        stream = rows.stub(channel).ModelStreamInfer
        vanish = threading.Event()
        calls = [stream(_one_and_silence(number, vanish)) for number in range(50)]
        first = [rows.answers(next(call).infer_response) for call in calls]
        assert first == [[number] for number in range(50)]
    vanish.set()


def _one_and_silence(number: int, vanish: threading.Event) -> Iterator[Any]:
    yield rows.request("wide", number)
    vanish.wait()


def _unfinished_call() -> bytes:
    path, host = rows.MODEL_INFER.encode(), b"x"
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", host)]
    fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    block = b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)
    headers = struct.pack(">I", len(block))[1:] + bytes([1, 4]) + struct.pack(">I", 1) + block
    promise = struct.pack(">BI", 0, 1_000_000)  # the length of a message of which only this comes
    data = struct.pack(">I", len(promise))[1:] + bytes([0, 0]) + struct.pack(">I", 1) + promise
    return PREFACE + SETTINGS + headers + data


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(
    "bytes_of_the_line",
    {
        "silence": b"",
        "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        "noise": random.Random(2).randbytes(4096),  # noqa: S311
        "preface only": PREFACE,
        "preface and noise": PREFACE + SETTINGS + random.Random(3).randbytes(4096),  # noqa: S311
        "a call of which half comes": _unfinished_call(),
    }.items(),
    ids=lambda item: item[0],
)
def test_connections_that_speak_nonsense_harm_no_other(
    server: ServerProcess, bytes_of_the_line: tuple[str, bytes]
) -> None:
    """Noise, other protocols and half calls on many connections, each torn down hard."""
    host, port = server.grpc_address.split(":")
    with contextlib.ExitStack() as connections:
        for _ in range(20):
            connection = connections.enter_context(socket.create_connection((host, int(port))))
            with contextlib.suppress(ConnectionError):  # the server may hang up while we speak
                connection.sendall(bytes_of_the_line[1])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset


@pytest.mark.usefixtures("neighbour")
def test_poison_harms_no_other_request_of_its_batch(
    server: ServerProcess, inference: Any, busy: Callable[[str], Any], door: Door
) -> None:
    """Of a batch whose one row makes the model raise, only that row's caller gets an error."""
    running = busy("single")
    send = inference.ModelInfer.future
    calls = [send(rows.request("single", identity, -1 if identity == 2 else 0)) for identity in range(4)]
    server.metrics_when(waiting("single", 4))
    door.open()
    poisoned = calls.pop(2)
    assert poisoned.code() is grpc.StatusCode.INTERNAL
    assert poisoned.details() == "the model failed on this request"
    assert [rows.answers(call.result()) for call in [*calls, running]] == [[0], [1], [3], [1000]]
