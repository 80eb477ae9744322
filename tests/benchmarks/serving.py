"""What serving costs beside the model: `python -m tests.benchmarks.serving`.

Server CPU per request of an empty servicer, which parses the request with protobuf and answers a constant, and of the
whole server with a model that does nothing, for the same payloads, in alternating rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil
import torch
from tritonclient.grpc import service_pb2, service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOADS = {"4 KiB": (37, 37, 3), "uint8 224x224": (224, 224, 3), "float32 224x224 (as bytes)": (448, 448, 3)}
CLASSES = 10
METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Nothing(torch.nn.Module):
    """A model that costs nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Give [N, 10] zeros for [N, H, W, 3]."""
        return torch.zeros([images.shape[0], 10])


def write_repository(directory: Path) -> None:
    """One model for each payload."""
    for number, shape in enumerate(PAYLOADS.values()):
        model = directory / f"model{number}"
        (model / "1").mkdir(parents=True)
        torch.jit.script(Nothing()).save(str(model / "1" / "model.pt"))
        dims = ", ".join(map(str, shape))
        (model / "config.pbtxt").write_text(f"""
            platform: "pytorch_libtorch"  max_batch_size: 8  dynamic_batching {{ }}
            input [ {{ name: "INPUT__0" data_type: TYPE_UINT8 dims: [{dims}] }} ]
            output [ {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [{CLASSES}] }} ]
        """)


def request_bytes(number: int) -> bytes:
    """A serialised ModelInferRequest for the model of payload `number`."""
    shape = list(PAYLOADS.values())[number]
    request = service_pb2.ModelInferRequest(model_name=f"model{number}")
    request.inputs.add(name="INPUT__0", datatype="UINT8", shape=[1, *shape])
    request.raw_input_contents.append(bytes(shape[0] * shape[1] * shape[2]))
    return bytes(request.SerializeToString())


class EmptyServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # tritonclient has no types
    """Answers a constant."""

    async def ModelInfer(self, request: service_pb2.ModelInferRequest, _context: object) -> object:  # noqa: N802
        """Look at the tensor, as every server must, and answer."""
        assert request.raw_input_contents[0]
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        response.outputs.add(name="OUTPUT__0", datatype="FP32", shape=[1, CLASSES])
        response.raw_output_contents.append(bytes(4 * CLASSES))
        return response


async def serve_empty() -> None:
    """Serve the empty servicer until the process is ended."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(EmptyServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening: gRPC on 127.0.0.1:{port},", file=sys.stderr, flush=True)
    await server.wait_for_termination()


@contextlib.contextmanager
def started(*command: str) -> Iterator[tuple[psutil.Process, str]]:
    """A server process and its address."""
    with subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if "listening: gRPC on " in line:
                address = line.split("gRPC on ")[1].split(",")[0]
                break
        else:
            raise SystemExit(f"{command} did not start")
        asyncio.run(until_ready(address))
        try:
            yield psutil.Process(process.pid), address
        finally:
            process.terminate()


async def until_ready(address: str) -> None:
    """Wait until the last model answers."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        while True:
            try:
                await call(request_bytes(len(PAYLOADS) - 1), wait_for_ready=True)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                return


async def send(address: str, message: bytes, count: int, concurrency: int) -> None:
    """Send `count` requests, `concurrency` at a time."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call = channel.unary_unary(METHOD)

        async def caller() -> None:
            for _ in range(count // concurrency):
                await call(message)

        await asyncio.gather(*(caller() for _ in range(concurrency)))


def cpu_ms(process: psutil.Process, address: str, number: int, arguments: argparse.Namespace) -> float:
    """Server CPU of one request, in milliseconds."""
    before = process.cpu_times()
    asyncio.run(send(address, request_bytes(number), arguments.requests, arguments.concurrency))
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / arguments.requests * 1e3


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--empty", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=2000, help="requests in each round (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--concurrency", type=int, default=4, help="requests under way (default 4)")
    arguments = parser.parse_args()
    if arguments.empty:
        asyncio.run(serve_empty())
        return
    with tempfile.TemporaryDirectory() as directory:
        write_repository(Path(directory))
        whole = ("server", "--model-repository", directory, "--grpc-port", "0", "--metrics-port", "0")
        with started("tests.benchmarks.serving", "--empty") as empty, started(*whole) as server:
            print("server CPU ms per request:  empty servicer  whole server  ratio (median of paired rounds)")
            for number, name in enumerate(PAYLOADS):
                pairs = [
                    (cpu_ms(*empty, number, arguments), cpu_ms(*server, number, arguments))
                    for _ in range(arguments.rounds)
                ]
                ratio = statistics.median(ours / base for base, ours in pairs)
                base, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(f"{name:>26}  {base:14.3f}  {ours:12.3f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()
