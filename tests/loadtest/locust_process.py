"""Locust, as people run it: real processes of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc

from loadtest import results
from loadtest.server_statistics import snapshot
from tests.serving import PATIENCE_SECONDS

LOCUSTFILE = "loadtest/locustfile.py"
# Enough to show a p99; all at once, so that the rate is the whole one from the beginning.
LOAD = ("--users", "100", "--spawn-rate", "100", "--run-time", "8s", "--warm-up", "1s")
_ROOT = Path(__file__).resolve().parents[2]


def locust_command(*arguments: str, files: str = LOCUSTFILE) -> list[str]:
    """How Locust is started."""
    return [sys.executable, "-m", "locust", "-f", files, *arguments]


def locust(*arguments: str, files: str = LOCUSTFILE) -> subprocess.CompletedProcess[str]:
    """Run Locust without its web interface."""
    command = locust_command("--headless", "--only-summary", *arguments, files=files)
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=200)


def with_workers(count: int) -> list[str]:
    """Options for workers that find their master, whoever else on this machine runs a Locust on the usual port."""
    port = str(free_port())
    return ["--processes", str(count), "--master-port", port, "--master-bind-port", port]


def summary(directory: Path) -> dict[str, dict[str, float]]:
    """What a result directory says."""
    found: dict[str, dict[str, float]] = json.loads((directory / results.SUMMARY).read_text())
    return found


def answered_requests(url: str) -> int:
    """How many requests the null server has answered."""
    with grpc.insecure_channel(url) as channel:
        [statistics] = snapshot(channel, ["null"])
    return int(statistics.inference_count)


def wait_until_answered(url: str, count: int) -> None:
    """Wait until the null server has answered so many requests."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (answered := answered_requests(url)) < count:
        assert time.monotonic() < end, f"{answered} requests were answered"
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
