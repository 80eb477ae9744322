"""Locust offers load to a server whose service time is known, and judges it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from loadtest import results
from loadtest.calibration import null_server
from tests.loadtest.locust_process import LOAD, LOCUSTFILE, locust, summary, with_workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SERVICE = ("--service", "constant:100ms", "--servers", "256")


def own(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the project's own generator."""
    command = [sys.executable, "-m", "loadtest", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def test_agrees_with_the_other_generator(tmp_path: Path, images: str) -> None:
    """At the same rate to the same server both see the same p50 and offer the same rate, workers or not."""
    with null_server(*_SERVICE) as url:
        locust("--host", url, "--images", images, *LOAD, "--output", str(tmp_path / "one"))
        locust("--host", url, "--images", images, *LOAD, *with_workers(2), "--output", str(tmp_path / "two"))
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
        run = locust("--host", url, "--images", images, *LOAD, "--objective", objective, "--output", str(tmp_path))

    assert run.returncode in verdicts, run.stdout + run.stderr
    assert summary(tmp_path)["verdict"] == verdicts[run.returncode]


def test_users_do_not_wait_for_a_server_that_stalls(tmp_path: Path, images: str) -> None:
    """A stall of a second makes as many requests slow as were due meanwhile, where waiting users would send none."""
    # Counted from the first request, which is one of those before the load: at least one of them is within it.
    with null_server("--stall", "1s@3s", "--stall", "1s@7s", "--stall", "1s@11s") as url:
        locust("--host", url, "--images", images, *LOAD, "--output", str(tmp_path))

    trace = results.read(tmp_path).runs[0].trace
    assert (trace.response_seconds > 0.2).sum() >= 20


def test_a_master_names_the_kinds_of_its_workers_messages(tmp_path: Path, images: str) -> None:
    """Where requests are of several models, each has its model in the result, though the master made none of them."""
    with null_server() as url:
        models = ("--model", "null", "--model", "null")
        locust(
            *("--host", url, "--images", images, *models, *with_workers(1), "--users", "20", "--spawn-rate", "20"),
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
            files=f"{LOCUSTFILE},{shapes}",
        )

    trace = results.read(tmp_path).runs[0].trace
    first, last = (trace.due < 4).sum(), (trace.due >= 6).sum()
    assert last > 2 * first


def test_drops_do_not_look_fast(images: str) -> None:
    """In Locust's own tables a request that was never sent takes as long as its caller would have waited."""
    with null_server("--service", "constant:1s") as url:
        run = locust("--host", url, "--images", images, *LOAD, "--most-in-flight", "1", "--deadline", "4s")
    percentiles = (run.stdout + run.stderr).partition("Response time percentiles")[2]

    assert re.search(r"grpc +Classify +4000 ", percentiles), run.stdout + run.stderr
    assert run.returncode in (1, 3)  # most failed, whatever was promised, unless this client was disturbed


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
    run = locust("--host", "127.0.0.1:1", *with_workers(1), "--users", "1", "--run-time", "30s")

    assert run.returncode == 2, run.stderr
    assert "loadtest: nothing was sent" in run.stderr
