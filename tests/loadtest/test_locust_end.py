"""However a test under Locust ends, what was sent until then is counted."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from loadtest import results
from loadtest.calibration import null_server
from tests.loadtest.locust_process import (
    answered_requests,
    locust,
    locust_command,
    summary,
    wait_until_answered,
    with_workers,
)
from tests.serving import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_under_way_at_the_end_is_counted(workers: int, tmp_path: Path, images: str) -> None:
    """Of answers that come after the run time none is missing: all that the server gave, but for what tried it."""
    load = ("--users", "20", "--spawn-rate", "20", "--run-time", "5s", "--warm-up", "0", "--output", str(tmp_path))
    processes = with_workers(workers) if workers else ()
    with null_server("--service", "constant:3s", "--servers", "256") as url:
        locust("--host", url, "--images", images, *load, *processes)
        answered = answered_requests(url)

    assert summary(tmp_path)["requests"] == answered - 1


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_under_way_when_it_is_told_to_end_is_counted(workers: int, tmp_path: Path, images: str) -> None:
    """A signal ends the test as its run time would, with a verdict on all that was sent."""
    command = locust_command("--headless", "--users", "20", "--spawn-rate", "20", "--warm-up", "0", "--images", images)
    command += ["--output", str(tmp_path), *(with_workers(workers) if workers else ())]
    with (
        null_server("--service", "constant:3s", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        wait_until_answered(url, 5)
        process.send_signal(signal.SIGTERM)
        process.wait_exit()
        answered = answered_requests(url)

    assert summary(tmp_path)["requests"] == answered - 1


def test_a_worker_that_dies_is_missed(tmp_path: Path, images: str) -> None:
    """What it had under way nobody knows: the others' answers alone are no verdict."""
    command = locust_command("--headless", "--users", "20", "--spawn-rate", "20", "--run-time", "6s", "--warm-up", "0")
    command += ["--images", images, "--output", str(tmp_path), *with_workers(2)]
    with (
        null_server("--service", "constant:1ms", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        wait_until_answered(url, 20)
        psutil.Process(process.pid).children()[0].kill()
        assert process.wait_exit() == 3, process.log

    assert summary(tmp_path)["verdict"] == "invalid"
    assert "1 of the workers went away" in process.log
    assert "carries" not in (tmp_path / "report.md").read_text().splitlines()[0]


def test_a_server_that_dies_leaves_its_result(tmp_path: Path, images: str) -> None:
    """What was measured until then is told and written, with the server as it was at the start."""
    command = locust_command("--headless", "--users", "20", "--spawn-rate", "20", "--warm-up", "0", "--images", images)
    command += ["--output", str(tmp_path / "result")]
    server = [sys.executable, "-m", "loadtest.null_server"]
    with contextlib.closing(ServerProcess(server)) as null:
        url = null.wait_for("listening: gRPC on ([0-9.:]+)")[1]
        with contextlib.closing(ServerProcess([*command, "--host", url])) as process:
            wait_until_answered(url, 5)
            null.send_signal(signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            process.wait_exit()

    assert "Traceback" not in process.log
    assert json.loads((tmp_path / "result" / results.SUMMARY).read_text())["target"]["server"] == "null"
