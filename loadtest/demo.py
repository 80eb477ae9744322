"""The demonstration behind `make demo`: serve, classify photographs, offer some load, and tell how it went."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadtest.server_process import COMMANDS, listening
from loadtest.termination import exit_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Iterator

# Photographs that scikit-image carries; it names their licences, which are free ones.
_PHOTOGRAPHS = {
    "chelsea.png": "cat.png",
    "rocket.jpg": "rocket.jpg",
    "motorcycle_left.png": "motorcycle.png",
    "coffee.png": "coffee.png",
    "astronaut.png": "astronaut.png",
}
_READY_SECONDS = 120.0


def main() -> int:
    """Run everything against a server of its own; the exit status is 0 when all of it worked."""
    options = _parser().parse_args()
    exit_on_sigterm()
    repository = options.repository
    model = ("--model", options.model) if options.model else ()
    with tempfile.TemporaryDirectory() as directory, _server(repository) as address:
        photographs = _copy_photographs(Path(directory))
        print(f"\nServing {repository} on {address}. {photographs} photographs, and what the model takes them for:\n")
        _command("client", "classify", ".", "--url", address, "--top-k", "3", *model, directory=directory)
        print("\nEighteen seconds of load, 60 requests a second, arriving as independent callers' do:\n")
        # Enough requests to speak of a 99th percentile.
        load = ("--rate", "60", "--duration", "18s", "--warm-up", "5s", "--no-calibration")
        # 1 and 3: the machine was too slow or too busy for a verdict, which is none of the demo's business.
        _command(
            *("loadtest", "run", "poisson", "--images", ".", "--url", address, *model, *load),
            directory=directory,
            fine=(0, 1, 3),
        )
        print("\nWhat the server says of it:\n")
        _command("client", "status", "--url", address, directory=directory)
    print("\nAll done. `make serve` keeps a server running; README.md tells what to do with it.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.demo", description=__doc__)
    parser.add_argument("repository", nargs="?", default="model_repository", help="the models to serve")
    parser.add_argument("--model", default="", help="which of them to ask, where several classify images")
    return parser


def _copy_photographs(directory: Path) -> int:
    import skimage  # noqa: PLC0415 - only needed here

    data = Path(skimage.__file__).parent / "data"
    for source, name in _PHOTOGRAPHS.items():
        shutil.copy(data / source, directory / name)
    return len(_PHOTOGRAPHS)


@contextlib.contextmanager
def _server(repository: str) -> Iterator[str]:
    """A server on a free port, ready to answer, and its address."""
    command = (*COMMANDS["python"], "--log-format", "text", "--model-repository", repository)
    with contextlib.ExitStack() as stack:
        try:
            served = stack.enter_context(listening(*command, echo=True))
        except RuntimeError as error:
            raise SystemExit(str(error)) from error
        _wait_until_ready(served.url)
        yield served.url


def _wait_until_ready(address: str) -> None:
    """Watch the server's health until it says that it serves."""
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest()
        for update in health_pb2_grpc.HealthStub(channel).Watch(request, timeout=_READY_SECONDS):
            if update.status == health_pb2.HealthCheckResponse.SERVING:
                return


def _command(*command: str, directory: str, fine: tuple[int, ...] = (0,)) -> None:
    sys.stdout.flush()
    finished = subprocess.run([sys.executable, "-m", *command], cwd=directory, check=False)  # noqa: S603 - our own
    if finished.returncode not in fine:
        raise SystemExit(f"python -m {command[0]} ended with status {finished.returncode}")


if __name__ == "__main__":
    sys.exit(main())
