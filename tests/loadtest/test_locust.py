"""Locust, as people run it: real processes of it against a server whose service time is known."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil
import pytest
from PIL import Image

from loadtest import results
from loadtest.calibration import null_server
from loadtest.server_statistics import snapshot
from tests.serving import PATIENCE_SECONDS, Samples, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROOT = Path(__file__).resolve().parents[2]
_LOCUSTFILE = "loadtest/locustfile.py"
_SERVICE = ("--service", "constant:100ms", "--servers", "256")
# Enough to show a p99; all at once, so that the rate is the whole one from the beginning.
_LOAD = ("--users", "100", "--spawn-rate", "100", "--run-time", "8s", "--warm-up", "1s")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Small pictures, so that the test is about sending and not about making pictures."""
    directory = tmp_path_factory.mktemp("images")
    for color in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), color).save(directory / f"{color}.png")
    return str(directory)


def _workers(count: int) -> list[str]:
    """Options for workers that find their master, whoever else on this machine runs a Locust on the usual port."""
    port = str(_free_port())
    return ["--processes", str(count), "--master-port", port, "--master-bind-port", port]


def _command(*arguments: str, files: str = _LOCUSTFILE) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", files, *arguments]


def locust(*arguments: str, files: str = _LOCUSTFILE) -> subprocess.CompletedProcess[str]:
    """Run Locust without its web interface."""
    command = _command("--headless", "--only-summary", *arguments, files=files)
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=200)


def own(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the project's own generator."""
    command = [sys.executable, "-m", "loadtest", "run", *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=200)


def summary(directory: Path) -> dict[str, dict[str, float]]:
    """What a result directory says."""
    found: dict[str, dict[str, float]] = json.loads((directory / results.SUMMARY).read_text())
    return found


def test_agrees_with_the_other_generator(tmp_path: Path, images: str) -> None:
    """At the same rate to the same server both see the same p50 and offer the same rate, workers or not."""
    with null_server(*_SERVICE) as url:
        locust("--host", url, "--images", images, *_LOAD, "--output", str(tmp_path / "one"))
        locust("--host", url, "--images", images, *_LOAD, *_workers(2), "--output", str(tmp_path / "two"))
        own(
            *("poisson", "--url", url, "--images", images, "--rate", "100", "--duration", "6s", "--no-calibration"),
            *("--warm-up", "0", "--output", str(tmp_path / "own")),
        )

    expected = summary(tmp_path / "own")
    for name in ("one", "two"):
        found = summary(tmp_path / name)
        for kind in ("latency_ms", "service_ms"):
            assert found[kind]["p50"] == pytest.approx(expected[kind]["p50"], rel=0.1)
            assert found[kind]["p50"] >= 100
        assert found["offered_rate"] == pytest.approx(100, rel=0.2)
        assert found["errors"] == {}
        assert len(results.read(tmp_path / name).runs[0].trace) == found["requests"]


@pytest.mark.parametrize(
    ("objective", "verdicts"), [("50ms", {1: "missed", 3: "invalid"}), ("5s", {0: "met", 3: "invalid"})]
)
def test_the_objective_decides_on_the_exit_code(
    objective: str, verdicts: dict[int, str], tmp_path: Path, images: str
) -> None:
    """Half of the service time cannot be met and fifty times of it is, unless this client was disturbed."""
    with null_server(*_SERVICE) as url:
        run = locust("--host", url, "--images", images, *_LOAD, "--objective", objective, "--output", str(tmp_path))

    assert run.returncode in verdicts, run.stdout + run.stderr
    assert summary(tmp_path)["verdict"] == verdicts[run.returncode]


def test_users_do_not_wait_for_a_server_that_stalls(tmp_path: Path, images: str) -> None:
    """A stall of a second makes as many requests slow as were due meanwhile, where waiting users would send none."""
    # Counted from the first request, which is one of those before the load: at least one of them is within it.
    with null_server("--stall", "1s@3s", "--stall", "1s@7s", "--stall", "1s@11s") as url:
        locust("--host", url, "--images", images, *_LOAD, "--output", str(tmp_path))

    trace = results.read(tmp_path).runs[0].trace
    assert (trace.response_seconds > 0.2).sum() >= 20


def test_a_master_names_the_kinds_of_its_workers_messages(tmp_path: Path, images: str) -> None:
    """Where requests are of several models, each has its model in the result, though the master made none of them."""
    with null_server() as url:
        models = ("--model", "null", "--model", "null")
        locust(
            *("--host", url, "--images", images, *models, *_workers(1), "--users", "20", "--spawn-rate", "20"),
            *("--run-time", "3s", "--warm-up", "0", "--output", str(tmp_path)),
        )

    assert results.read(tmp_path).runs[0].kinds == ("null x1",)


def test_a_profile_changes_the_rate(tmp_path: Path, images: str) -> None:
    """In five steps the last fifth of the requests comes in much less than a fifth of the time."""
    shapes = "loadtest/locust_shapes.py"
    with null_server() as url:
        locust(
            *("--host", url, "--images", images, "--load-profile", "step", "--rate", "60", "--duration", "10s"),
            *("--warm-up", "0", "--output", str(tmp_path)),
            files=f"{_LOCUSTFILE},{shapes}",
        )

    trace = results.read(tmp_path).runs[0].trace
    first, last = (trace.due < 4).sum(), (trace.due >= 6).sum()
    assert last > 2 * first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "127.0.0.1:1"), "127.0.0.1:1: UNAVAILABLE"),
        (("--host", "127.0.0.1:1", "--images", "no-such-file"), "no such file: no-such-file"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(arguments: Sequence[str], message: str) -> None:
    """No request is sent, and the exit code is that of a mistake."""
    run = locust(*arguments, "--users", "1", "--run-time", "30s")

    assert run.returncode == 2, run.stderr
    assert f"loadtest: {message}" in run.stderr
    assert "Traceback" not in run.stderr


def test_that_nothing_was_sent_is_said_by_a_master_too() -> None:
    """Its workers cannot reach the server and quit: the exit code is that of a mistake."""
    run = locust("--host", "127.0.0.1:1", *_workers(1), "--users", "1", "--run-time", "30s")

    assert run.returncode == 2, run.stderr
    assert "loadtest: nothing was sent" in run.stderr


def _answered(url: str) -> int:
    """How many requests the null server has answered."""
    with grpc.insecure_channel(url) as channel:
        [statistics] = snapshot(channel, ["null"])
    return int(statistics.inference_count)


def _wait_until_answered(url: str, count: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while (answered := _answered(url)) < count:
        assert time.monotonic() < end, f"{answered} requests were answered"
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_under_way_at_the_end_is_counted(workers: int, tmp_path: Path, images: str) -> None:
    """Of answers that come after the run time none is missing: all that the server gave, but for what tried it."""
    load = ("--users", "20", "--spawn-rate", "20", "--run-time", "5s", "--warm-up", "0", "--output", str(tmp_path))
    processes = _workers(workers) if workers else ()
    with null_server("--service", "constant:3s", "--servers", "256") as url:
        locust("--host", url, "--images", images, *load, *processes)
        answered = _answered(url)

    assert summary(tmp_path)["requests"] == answered - 1


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_under_way_when_it_is_told_to_end_is_counted(workers: int, tmp_path: Path, images: str) -> None:
    """A signal ends the test as its run time would, with a verdict on all that was sent."""
    command = _command("--headless", "--users", "20", "--spawn-rate", "20", "--warm-up", "0", "--images", images)
    command += ["--output", str(tmp_path), *(_workers(workers) if workers else ())]
    with (
        null_server("--service", "constant:3s", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        _wait_until_answered(url, 5)
        process.send_signal(signal.SIGTERM)
        process.wait_exit()
        answered = _answered(url)

    assert summary(tmp_path)["requests"] == answered - 1


def test_a_worker_that_dies_is_missed(tmp_path: Path, images: str) -> None:
    """What it had under way nobody knows: the others' answers alone are no verdict."""
    command = _command("--headless", "--users", "20", "--spawn-rate", "20", "--run-time", "6s", "--warm-up", "0")
    command += ["--images", images, "--output", str(tmp_path), *_workers(2)]
    with (
        null_server("--service", "constant:1ms", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        _wait_until_answered(url, 20)
        psutil.Process(process.pid).children()[0].kill()
        assert process.wait_exit() == 3, process.log

    assert summary(tmp_path)["verdict"] == "invalid"
    assert "1 of the workers went away" in process.log
    assert "carries" not in (tmp_path / "report.md").read_text().splitlines()[0]


def test_drops_do_not_look_fast(images: str) -> None:
    """In Locust's own tables a request that was never sent takes as long as its caller would have waited."""
    with null_server("--service", "constant:1s") as url:
        run = locust("--host", url, "--images", images, *_LOAD, "--most-in-flight", "1", "--deadline", "4s")
    percentiles = (run.stdout + run.stderr).partition("Response time percentiles")[2]

    assert re.search(r"grpc +Classify +4000 ", percentiles), run.stdout + run.stderr
    assert run.returncode in (1, 3)  # most failed, whatever was promised, unless this client was disturbed


def test_a_server_that_dies_leaves_its_result(tmp_path: Path, images: str) -> None:
    """What was measured until then is told and written, with the server as it was at the start."""
    command = _command("--headless", "--users", "20", "--spawn-rate", "20", "--warm-up", "0", "--images", images)
    command += ["--output", str(tmp_path / "result")]
    server = [sys.executable, "-m", "loadtest.null_server"]
    with contextlib.closing(ServerProcess(server)) as null:
        url = null.wait_for("listening: gRPC on ([0-9.:]+)")[1]
        with contextlib.closing(ServerProcess([*command, "--host", url])) as process:
            while _answered(url) < 5:
                time.sleep(0.1)
            null.send_signal(signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            process.wait_exit()

    assert "Traceback" not in process.log
    assert json.loads((tmp_path / "result" / results.SUMMARY).read_text())["target"]["server"] == "null"


def test_a_taken_port_for_metrics_is_said_in_one_line() -> None:
    """Before anything is sent."""
    with socket.create_server(("", 0)) as taken:
        run = locust("--host", "127.0.0.1:1", "--users", "1", "--metrics-port", str(taken.getsockname()[1]))

    assert run.returncode == 2
    assert "loadtest: cannot serve metrics on port" in run.stderr
    assert "Traceback" not in run.stderr


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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
    web, metrics = _free_port(), _free_port()
    command = _command("--autostart", *_workers(2), "--images", images)
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
    web, metrics = _free_port(), _free_port()
    command = _command("--autostart", "--images", images, "--users", "20", "--spawn-rate", "20")
    command += ["--web-host", "127.0.0.1", "--web-port", str(web), "--metrics-port", str(metrics)]
    command += _workers(workers) if workers else []
    with (
        null_server("--service", "constant:1s", "--servers", "256") as url,
        contextlib.closing(ServerProcess([*command, "--host", url])) as process,
    ):
        _page_when(metrics, "/metrics", _is_loaded)
        urllib.request.urlopen(f"http://127.0.0.1:{web}/stop", b"", timeout=PATIENCE_SECONDS).close()
        samples = Samples(_page_when(metrics, "/metrics", _is_idle))
        answered = _answered(url)
        process.send_signal(signal.SIGTERM)
        process.wait_exit()

    assert samples.total("loadgen_inflight") == samples.total("loadgen_cpu_ratio") == 0
    assert samples.total("loadgen_requests") == answered - 1
