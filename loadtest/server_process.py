"""A server in a process of its own, as long as it is needed: this one or Triton, by the commands that start them."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtest.termination import held_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANY_PORT = ("--grpc-port", "0", "--metrics-port", "0")
COMMANDS = {
    "python": ("server", *_ANY_PORT, "--lame-duck-seconds", "0"),
    "triton": ("deploy.triton", *_ANY_PORT, "--http-port", "0"),
}
"""The servers by name, and what starts them on any free ports."""
_READY_SECONDS = 180.0
_END_SECONDS = 60.0
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers, or is about to.

    Attributes:
        url: HOST:PORT of its gRPC port.
        process: It.
        log: What it writes.
    """

    url: str
    process: subprocess.Popen[str]
    log: Log


@contextlib.contextmanager
def serve(name: str, repository: Path, model: str) -> Iterator[Served]:
    """One of `COMMANDS` with `repository`, from when it has loaded `model`; ended when this ends.

    Raises:
        RuntimeError: It does not start, or does not load the model.
    """
    with listening(*COMMANDS[name], "--model-repository", str(repository)) as served:
        _wait_until_ready(served, model)
        yield served


@contextlib.contextmanager
def listening(*command: str, echo: bool = False) -> Iterator[Served]:
    """A server that `python -m COMMAND` starts, from when it listens; ended when this ends.

    It is no part of this terminal: Ctrl-C is for us, and the server is needed until the last answer.

    Args:
        command: The module and its arguments.
        echo: Whether what it writes is shown, too.

    Raises:
        RuntimeError: It does not start.
    """
    with contextlib.ExitStack() as stack:
        with held_back():
            process = stack.enter_context(_start(command))
            log = Log(process, echo=echo)
            stack.callback(log.wait)
            stack.callback(_end, process)
        yield Served(log.address(), process, log)


def _start(command: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Log:
    """What a server writes; somebody must read it, or it would wait for that."""

    def __init__(self, process: subprocess.Popen[str], *, echo: bool) -> None:
        self._echo = echo
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._address = ""
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if self._echo:
                sys.stderr.write(line)
            self._lines.append(line.strip())
            if not self._address and (match := re.search(r"listening: gRPC on ([^,\s]+)", line)):
                self._address = match[1]
                self._told.set()
        self._told.set()

    def address(self) -> str:
        """Where it listens.

        Raises:
            RuntimeError: Nowhere.
        """
        self._told.wait(_READY_SECONDS)
        if not self._address:
            raise RuntimeError(f"the server did not start: {self.end()}")
        return self._address

    def end(self) -> str:
        """The last that it wrote."""
        return " / ".join(self._lines)

    def wait(self) -> None:
        """Until all that it wrote has been read; it has ended."""
        self._reader.join(_END_SECONDS)


def _wait_until_ready(served: Served, model: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    request = service_pb2.ModelReadyRequest(name=model)
    with grpc.insecure_channel(served.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while served.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(grpc.RpcError):
                if stub.ModelReady(request, timeout=5, wait_for_ready=True).ready:
                    return
            time.sleep(0.1)
    raise RuntimeError(f"the server did not load {model}: {served.log.end()}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
