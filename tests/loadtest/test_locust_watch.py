"""A test under Locust can be watched: the page of its web interface, and metrics for Prometheus."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from loadtest.calibration import null_server
from tests.loadtest.locust_process import answered_requests, free_port, locust, locust_command, with_workers
from tests.serving import PATIENCE_SECONDS, Samples, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable


def _page_when(port: int, path: str, holds: Callable[[str], bool]) -> str:
    """Read a page until it says what must become true."""
    end = time.monotonic() + PATIENCE_SECONDS
    text = ""
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).read().decode()
            if holds(text):
                return text
        time.sleep(0.2)
    raise AssertionError(f"{path} never told it:\n{text}")


def _tells_of_answers(points: str) -> bool:
    return any(point["answered"] > 0 for point in json.loads(points))


def test_shows_the_test_while_it_runs(images: str) -> None:
    """The page of the web interface and Prometheus's metrics tell of the requests, those of workers included."""
    web, metrics = free_port(), free_port()
    command = locust_command("--autostart", *with_workers(2), "--images", images)
    command += ["--users", "20", "--spawn-rate", "20", "--web-host", "127.0.0.1", "--web-port", str(web)]
    command += ["--metrics-port", str(metrics)]
    with null_server() as url, contextlib.closing(ServerProcess([*command, "--host", url])) as process:
        points = _page_when(web, "/open-loop/data", _tells_of_answers)
        page = _page_when(metrics, "/metrics", lambda text: 'code="OK"' in text)
        assert "<title>Open loop</title>" in _page_when(web, "/open-loop", bool)
        process.send_signal(signal.SIGTERM)
        process.wait_exit()

    assert [point for point in json.loads(points) if point["answered"] > 0 and point["failed"] == 0]
    assert Samples(page).total("loadgen_requests", code="OK") > 0


def _is_loaded(page: str) -> bool:
    names = ("loadgen_offered_rps", "loadgen_inflight", "loadgen_cpu_ratio")
    return all(name in page and Samples(page).total(name) > 0 for name in names)


def _is_idle(page: str) -> bool:
    return "loadgen_offered_rps" in page and Samples(page).total("loadgen_offered_rps") == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_metrics_tell_of_the_load_and_of_its_end(workers: int, images: str) -> None:
    """While load is sent there are a rate, requests under way and CPU; after it nothing is, and all were counted."""
    web, metrics = free_port(), free_port()
    command = locust_command("--autostart", "--images", images, "--users", "20", "--spawn-rate", "20")
    command += ["--web-host", "127.0.0.1", "--web-port", str(web), "--metrics-port", str(metrics)]
    command += with_workers(workers) if workers else []
    with (
        null_server("--service", "constant:1s", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        _page_when(metrics, "/metrics", _is_loaded)
        urllib.request.urlopen(f"http://127.0.0.1:{web}/stop", b"", timeout=PATIENCE_SECONDS).close()
        samples = Samples(_page_when(metrics, "/metrics", _is_idle))
        answered = answered_requests(url)
        process.send_signal(signal.SIGTERM)
        process.wait_exit()

    assert samples.total("loadgen_inflight") == samples.total("loadgen_cpu_ratio") == 0
    assert samples.total("loadgen_requests") == answered - 1


def test_a_taken_port_for_metrics_is_said_in_one_line() -> None:
    """Before anything is sent."""
    with socket.create_server(("", 0)) as taken:
        run = locust("--host", "127.0.0.1:1", "--users", "1", "--metrics-port", str(taken.getsockname()[1]))

    assert run.returncode == 2
    assert "loadtest: cannot serve metrics on port" in run.stderr
    assert "Traceback" not in run.stderr
