"""Both real servers, as their users start them: by a command, in a process of their own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
COORDSERVE = (sys.executable, "-m", "server")
TRITON = (sys.executable, "-m", "deploy.triton", "--http-port", "0")
_ADDRESS = re.compile(r"gRPC on (\S+?),")
_STARTED = re.compile(r"ready: serving|Started Metrics Service")
_START_SECONDS = 240  # the first start of Triton downloads it

_CONFIG = """
name: "{name}"
platform: "pytorch_libtorch"
max_batch_size: 4
input {{ name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 32, 32, 3 ] }}
output {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }}
dynamic_batching {{ }}
parameters {{ key: "CROP_FRACTION" value {{ string_value: "0.5" }} }}
"""


class Colour(torch.nn.Module):
    """Says how red, green and blue an image is: the softmax of its mean channel values."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps uint8 [n, height, width, 3] to float32 [n, 3]."""
        return torch.softmax(images.to(torch.float32).mean(dim=(1, 2)) / 16, dim=1)


def write_repository(directory: Path) -> None:
    """Writes a model repository with the model `colour`, and `broken`, which cannot be loaded."""
    for name in ("colour", "broken"):
        model = directory / name
        (model / "1").mkdir(parents=True)
        (model / "config.pbtxt").write_text(_CONFIG.format(name=name))
        (model / "labels.txt").write_text("red\ngreen: leaf\nbleu café\n", encoding="utf-8")
        (model / "1" / "model.pt").write_bytes(b"no model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what both servers load
        traced = torch.jit.trace(Colour(), torch.zeros(1, 32, 32, 3, dtype=torch.uint8))  # type: ignore[no-untyped-call]
        traced.save(str(directory / "colour" / "1" / "model.pt"))


@contextmanager
def started(command: Sequence[str], repository: Path, *flags: str) -> Iterator[str]:
    """Starts a server on free ports, gives its gRPC address, and ends it as Ctrl-C does."""
    process = subprocess.Popen(
        [*command, "--model-repository", str(repository), "--grpc-port", "0", "--metrics-port", "0", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    assert process.stdout
    try:
        yield _address(process.stdout, watchdog)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


def _address(output: IO[str], watchdog: threading.Timer) -> str:
    """Waits until all models have been tried; what the server writes later is read and dropped."""
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if _STARTED.search(line):
            break
    watchdog.cancel()
    address = _ADDRESS.search("".join(lines))
    assert address, "".join(lines)
    threading.Thread(target=output.read, daemon=True).start()
    return address[1]
