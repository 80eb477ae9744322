from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from loadtest.report.memory import sentence, table
from loadtest.server_memory import MemoryMetric, MemoryWatch, find_metric, memory_misses, watching
from tests.serving import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1_000_000
NOT_YET = "# TYPE nv_cpu_memory_used_bytes gauge\nnv_cpu_memory_used_bytes 0\n"
NULL = (sys.executable, "-m", "loadtest.null_server", "--size", "16", "--metrics-port", "0")


def seen(amounts: list[float], hours: float) -> dict[str, Any]:
    """What a watch finds that saw these amounts, in MB, evenly over some hours."""
    seconds = [3600 * hours * number / (len(amounts) - 1) for number in range(len(amounts))]
    return MemoryWatch(
        MemoryMetric("", "process_resident_memory_bytes"), seconds, [MB * each for each in amounts]
    ).findings()


def soak(server: ServerProcess, output: Path) -> tuple[int, dict[str, Any]]:
    """The exit status and the summary of a short soak that looks at the server's memory."""
    command = [sys.executable, "-m", "loadtest", "run", "soak", "--url", server.grpc_address, "--rate", "30"]
    command += ["--metrics-url", server.http_address, "--duration", "3s", "--warm-up", "0", "--no-calibration"]
    finished = subprocess.run(
        [*command, "--output", str(output)], capture_output=True, text=True, timeout=120, check=False
    )
    assert "The server's memory went from " in finished.stdout, finished.stderr
    return finished.returncode, json.loads((output / "summary.json").read_text())


@pytest.mark.parametrize(
    ("amounts", "hours", "growth", "misses"),
    [
        ([300.0] * 50, 1.0, 0, 0),
        ([300.0 + 29 * number / 100 for number in range(101)], 1.0, 29, 0),
        ([300.0 + 31 * number / 100 for number in range(101)], 1.0, 31, 1),
        ([300.0, *[400.0] * 99], 1.0, 0, 0),  # caches that fill at first
        ([300.0, 302.0, 304.0, 306.0], 0.01, None, 0),  # six megabytes are no leak, however fast they came
        ([300.0, 280.0], 1.0, -20, 0),
        ([300.0, 280.0], 0.5, None, 0),  # half an hour of a growth that is allowed would not be seen
        ([300.0, 400.0], 0.5, 200, 1),
    ],
)
def test_growth_is_told_by_the_hour(amounts: list[float], hours: float, growth: float | None, misses: int) -> None:
    """A tenth of what it was at the begin is too much for an hour; what fills at first or is little does not count."""
    found = seen(amounts, hours)

    assert found["growth_bytes_per_hour"] == (None if growth is None else pytest.approx(growth * MB, abs=1))
    assert found["least_seconds"] == pytest.approx(3600 * 16 * 2**20 / (30 * MB))
    assert found["grows"] == bool(misses)
    assert len(memory_misses(found)) == misses


def test_a_report_tells_the_memory_at_the_start_and_at_the_end() -> None:
    """The table has a column for each, in megabytes."""
    found = table({"memory": seen([100, 100, 100, 100], 1)})

    assert found.head[1:3] == ("at the start, MB", "at the end, MB")
    assert found.rows[0][1:3] == ("100", "100")


def test_the_real_server_tells_its_memory(image_server_process: ServerProcess, tmp_path: Path) -> None:
    """A soak tells it at the begin and at the end, and a server that keeps nothing does not grow."""
    _, summary = soak(image_server_process, tmp_path)

    memory = summary["findings"]["memory"]
    assert memory["metric"] == "process_resident_memory_bytes"
    assert memory["begin_bytes"] > 50 * MB
    assert memory["end_bytes"] > 50 * MB
    assert len(memory["bytes"]) >= 3
    assert not memory["grows"]
    assert memory["growth_bytes_per_hour"] is None  # in three seconds nothing can be told of an hour
    assert "too short to tell" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Memory of the server" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_server_that_keeps_what_it_gets_misses(tmp_path: Path) -> None:
    """A megabyte of each request is a miss, whatever its latencies, and stands in the report's first lines."""
    with contextlib.closing(ServerProcess((*NULL, "--leak", str(MB)))) as server:
        status, summary = soak(server, tmp_path)

    assert status == 1
    assert summary["verdict"] == "missed"
    assert summary["reasons"][0].startswith("the server's memory grows by ")
    assert summary["reasons"][0] in (tmp_path / "report.md").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Growth is told of the last three quarters" in page


def test_triton_tells_the_machine_s_memory() -> None:
    """Where the server does not tell its own, that of its machine is taken."""
    page = "# TYPE nv_cpu_memory_used_bytes gauge\nnv_cpu_memory_used_bytes 2048\n"
    with served(page) as url:
        metric = find_metric(url)
        with watching(metric, 1.0) as watch:
            pass

    assert metric.name == "nv_cpu_memory_used_bytes"
    assert sentence({"memory": watch.findings()}).startswith("The memory of the server's machine went from ")
    assert watch.bytes == [2048, 2048]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("# no memory\n", "tells no memory"),
        (NOT_YET, "tells no memory"),
        ("<html>no metrics</html>", "no metrics can be read there"),
    ],
)
def test_what_tells_no_memory_is_no_metrics_address(page: str, text: str) -> None:
    """Another page is told in one line."""
    with served(page) as url, pytest.raises(ValueError, match=text):
        find_metric(url)


def test_what_speaks_no_http_is_no_metrics_address() -> None:
    """The gRPC port, which is easily taken for it, is told in one line, too."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\0\0\6\4no HTTP\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ValueError, match="is it the server's HTTP address"):
            find_metric(f"http://127.0.0.1:{server.getsockname()[1]}/metrics")


def test_a_metrics_address_that_does_not_answer_is_told_before_any_load() -> None:
    """It ends the run with status 2."""
    command = [sys.executable, "-m", "loadtest", "run", "soak", "--metrics-url", "127.0.0.1:1"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 2
    assert finished.stderr.startswith("loadtest: http://127.0.0.1:1/metrics: no metrics can be read there: ")
    assert len(finished.stderr.splitlines()) == 1


@contextlib.contextmanager
def served(page: str) -> Iterator[str]:
    """A page at an address, as long as this lasts."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_arguments: object) -> None:
            """Nobody needs it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
