from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from loadtest.calibration import null_server
from tests.loadtest.scrape import wait_for_metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

QUICK = ("--rate", "50", "--duration", "500ms", "--warm-up", "0", "--no-calibration")


def loadtest(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its users do."""
    command = [sys.executable, "-m", "loadtest", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_run_tells_percentiles_and_writes_its_summary(image_server: str, tmp_path: Path) -> None:
    """A run against a server prints what it found and writes the same as JSON, with all the keys that are promised."""
    finished = loadtest("poisson", "--url", image_server, *QUICK, "--output", str(tmp_path / "new"))

    summary = json.loads((tmp_path / "new" / "summary.json").read_text())
    promised = {"verdict", "reasons", "offered_rate", "achieved_rate", "latency_ms", "service_ms", "errors", "dropped"}
    assert promised <= summary.keys()
    assert summary["errors"] == {}
    assert finished.returncode == {"met": 0, "missed": 1, "invalid": 3}[summary["verdict"]]
    assert "p99" in finished.stdout


@pytest.mark.parametrize("command", ["run", "search", "calibrate"])
def test_each_command_tells_what_it_takes(command: str) -> None:
    """--help is printed, whatever signs the texts have."""
    finished = subprocess.run(
        [sys.executable, "-m", "loadtest", command, "--help"], capture_output=True, text=True, timeout=120, check=False
    )

    assert finished.returncode == 0, finished.stderr
    assert "--objective" in finished.stdout or command == "calibrate"


def test_images_that_fail_are_told_before_any_load(image_server: str, tmp_path: Path) -> None:
    """An image that the server cannot read is no load: the run does not begin."""
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    finished = loadtest("constant", "--url", image_server, *QUICK, "--images", str(tmp_path))

    assert finished.returncode == 2
    assert "INVALID_ARGUMENT" in finished.stderr


def test_an_objective_that_nobody_can_meet_is_missed(image_server: str, tmp_path: Path) -> None:
    """The exit code of a run that is valid tells that the objective was missed."""
    plan = ("--rate", "500", "--duration", "1s", "--warm-up", "0", "--no-calibration", "--objective", "0.001ms")
    finished = loadtest("constant", "--url", image_server, *plan, "--output", str(tmp_path))

    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["verdict"] in ("invalid", "missed")
    assert finished.returncode == {"missed": 1, "invalid": 3}[summary["verdict"]]
    assert f"at most 0.001 ms: {summary['verdict']}" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["poisson", "--url", "127.0.0.1:1"], "UNAVAILABLE"),
        (["poisson", "--images", "no-such-file.jpg"], "no such file"),
        (["poisson", "--rate", "0"], "must be a number above 0"),
        (["poisson", "--rate", "banana"], "must be a number above 0"),
        (["poisson", "--rate", "0.001", "--duration", "10ms"], "no request"),
        (["poisson", "--objective", "100"], "argument --objective: needs a unit: 100ms or 100s?"),
        (["poisson", "--objective", "15s"], "--objective, 15 s, is beyond --deadline, 10 s"),
        (["nonsense"], "invalid choice"),
        (["poisson", "--objective", "100ms", "--duration", "5s"], "459: --duration 26s"),
        (["replay"], "--schedule"),
        (["poisson", "--cpus", "x"], "must be cores"),
        (["poisson", "--cpus", "9999"], "no core 9999"),
        (["poisson", "--server-cpus", "0"], "needs --server-pid"),
        (["poisson", "--server-pid", "999999999"], "no process 999999999"),
        (["poisson", "--metrics-url", "127.0.0.1:1"], "--metrics-url is for soak"),
    ],
)
def test_bad_input_is_one_clear_line_before_any_load(arguments: list[str], text: str) -> None:
    """What cannot be run ends with status 2 and says why, without a traceback."""
    finished = loadtest(*arguments)

    assert finished.returncode == 2
    assert text in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


def test_a_replay_of_one_instant_is_one_clear_line(image_server: str, tmp_path: Path) -> None:
    """Arrivals that are all at once cannot be replayed at any rate, which is told before any is sent."""
    (tmp_path / "instants").write_text("5\n5\n", encoding="utf-8")
    finished = loadtest("replay", "--url", image_server, "--schedule", str(tmp_path / "instants"), "--no-calibration")

    assert finished.returncode == 2
    assert finished.stderr.splitlines() == ["loadtest: arrivals that are all at one instant have no rate"]


def test_an_unknown_model_is_told_before_any_load(image_server: str) -> None:
    """A model that the server does not have ends the run at once, with the server's text."""
    finished = loadtest("poisson", "--url", image_server, "--model", "nope")

    assert finished.returncode == 2
    assert "unknown model: 'nope'" in finished.stderr


def search(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Search as its users do."""
    command = [sys.executable, "-m", "loadtest", "search", "--no-calibration", "--warm-up", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_search_that_its_time_does_not_allow_is_told_before_any_load() -> None:
    """Nobody is asked when the confirmations alone take longer."""
    finished = search("--url", "127.0.0.1:1", "--objective", "100ms", "--time", "1m")

    assert finished.returncode == 2
    assert finished.stderr.startswith("loadtest: probes and 3 confirmations of p99 take 138 s, and there are 44 s for")
    assert len(finished.stderr.splitlines()) == 1


def test_a_search_whose_time_runs_out_says_what_it_found(tmp_path: Path) -> None:
    """It ends in time, is no verdict on the server, and tells the reason first."""
    plan = ["--payload", "uint8", "--rate", "400", "--objective", "5ms", "--percentile", "90", "--deadline", "1s"]
    plan += ["--probe", "1s", "--confirm", "1s", "--confirmations", "1", "--time", "18s", "--output", str(tmp_path)]
    with null_server("--size", "16", "--service", "constant:10ms") as url:
        finished = search("--url", url, *plan)

    assert finished.returncode == 3, finished.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["findings"]["out_of_time"]
    assert summary["findings"]["probed"]
    assert summary["reasons"][0].startswith("the time of 18 s ran out before a rate was confirmed; no rate")
    assert summary["reasons"][0] in finished.stdout
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# No verdict: the time of ")


def test_an_interrupted_search_is_no_verdict_on_the_server(image_server: str, tmp_path: Path) -> None:
    """What was seen until then is told, and that no rate was confirmed."""
    command = [sys.executable, "-m", "loadtest", "search", "--url", image_server, "--rate", "50", "--objective", "1s"]
    command += ["--no-calibration", "--warm-up", "0", "--metrics-port", "0", "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        wait_for_metric(process.stderr.readline().split()[-1], "loadgen_requests", 20)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 3, output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["verdict"] == "invalid"
    assert summary["findings"]["rate"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_still_says_what_it_saw(image_server: str, tmp_path: Path, number: int) -> None:
    """Ctrl-C and timeout(1), which signal all of its processes, end a long run at once, with results that are partial.

    Meanwhile its metrics could be read.
    """
    command = [sys.executable, "-m", "loadtest", "run", "poisson", "--url", image_server, "--rate", "50"]
    command += ["--duration", "1h", "--warm-up", "0", "--no-calibration", "--metrics-port", "0"]
    command += ["--output", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as process:
        assert process.stderr
        address = process.stderr.readline().split()[-1]
        wait_for_metric(address, "loadgen_requests", 20)
        os.killpg(process.pid, number)
        output, errors = process.communicate(timeout=60)

    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["partial"]
    assert summary["requests"] >= 20
    assert summary["offered_rate"] > 10  # of 50, in the time until then and not in an hour
    assert summary["errors"] == {}
    assert "interrupted" in output
    assert "Traceback" not in errors


def test_an_interruption_before_the_last_rate_is_no_verdict(image_server: str) -> None:
    """Rates that were never offered are not met, however well the first one fared."""
    command = [sys.executable, "-m", "loadtest", "run", "server", "--url", image_server, "--rate", "100"]
    command += ["--duration", "1h", "--objective", "10s", "--percentile", "50", "--warm-up", "0", "--no-calibration"]
    command += ["--metrics-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        address = process.stderr.readline().split()[-1]
        wait_for_metric(address, "loadgen_requests", 20)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 3, output
    assert "it was interrupted before all runs had ended" in output


def test_several_models_are_mixed(
    image_repository: Path,
    tmp_path: Path,
    start_server: Callable[..., AbstractContextManager[ServerProcess]],
) -> None:
    """Requests go to each model that is named, and latencies are told of each."""
    for name in ("one", "two"):
        shutil.copytree(image_repository / "colours", tmp_path / "models" / name)
    with start_server(tmp_path / "models", "--lame-duck-seconds", "0") as server:
        plan = ("--url", server.grpc_address, "--model", "one", "--model", "two", *QUICK)
        finished = loadtest("mixed-models", *plan, "--output", str(tmp_path))
        alone = loadtest("mixed-models", "--url", server.grpc_address, "--model", "one", *QUICK)

    assert (alone.returncode, alone.stderr.splitlines()[-1][:36]) == (2, "loadtest: mixed-models needs several")
    assert finished.returncode in (0, 3), finished.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["runs"][0]["kinds"]) == {"one x1", "two x1"}
    assert summary["errors"] == {}


def test_the_client_measures_itself() -> None:
    """`calibrate` tells the latency and the rate that this client reaches without any work behind it."""
    command = [sys.executable, "-m", "loadtest", "calibrate", "--payload", "uint8", "--size", "64"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert finished.returncode == 0, finished.stderr
    floor = re.search(r"p50 ([\d.]+) ms", finished.stdout)
    ceiling = re.search(r"ceiling: (\d+)", finished.stdout)
    assert floor
    assert float(floor[1]) > 0
    assert ceiling
    assert int(ceiling[1]) > 0


@pytest.mark.parametrize(
    ("command", "child"),
    [
        (["loadtest", "calibrate", "--payload", "uint8", "--size", "16"], "multiprocessing.spawn"),
        (["loadtest.demo"], "server"),
    ],
)
def test_sigterm_leaves_no_server_behind(image_repository: Path, command: list[str], child: str) -> None:
    """What a command has started, in sessions of its own, ends with it: null servers, senders and the demo's server."""
    repository = [str(image_repository)] if command == ["loadtest.demo"] else []
    with subprocess.Popen([sys.executable, "-m", *command, *repository], stderr=subprocess.DEVNULL) as process:
        children = wait_for_child(process.pid, child)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    assert process.returncode == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def wait_for_child(pid: int, word: str) -> list[psutil.Process]:
    """The processes below `pid`, once one of them has `word` in its command."""
    end = time.monotonic() + 60
    while True:
        children = psutil.Process(pid).children(recursive=True)
        if any(word in part for child in children for part in command_line(child)):
            return children
        assert time.monotonic() < end, f"nothing with {word} was started"
        time.sleep(0.02)


def command_line(process: psutil.Process) -> list[str]:
    """Its parts; none where it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_rate_beyond_the_clients_own_is_refused(image_server: str) -> None:
    """What the client itself cannot send is not asked of the server."""
    finished = loadtest("poisson", "--url", image_server, "--rate", "1000000", "--duration", "1s")

    assert finished.returncode == 2
    assert "reports on half of that" in finished.stderr


def test_the_demonstration_runs_to_its_end(image_repository: Path) -> None:
    """The demonstration classifies photographs, offers load, shows percentiles and the server's view, and ends well."""
    command = [sys.executable, "-m", "loadtest.demo", str(image_repository)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert finished.returncode == 0, finished.stderr
    assert "cat.png" in finished.stdout
    assert "p99" in finished.stdout
    assert "READY" in finished.stdout


def test_the_demonstration_of_nothing(tmp_path: Path) -> None:
    """Where the server does not start, its reason is the last that is said."""
    command = [sys.executable, "-m", "loadtest.demo", str(tmp_path / "absent")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert finished.returncode == 1
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("the server did not start: ")
    assert str(tmp_path / "absent") in last
    assert "Traceback" not in finished.stderr


def test_an_output_that_cannot_be_written_is_told_before_any_load(tmp_path: Path) -> None:
    """Nobody waits for minutes for a result that has no place."""
    (tmp_path / "file").write_text("")
    with null_server() as url:
        finished = loadtest("constant", "--url", url, *QUICK, "--output", str(tmp_path / "file" / "result"))

    assert finished.returncode == 2
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1
    assert "Not a directory" in finished.stderr


def test_ctrl_c_before_any_load_is_one_line() -> None:
    """While the server is still asked what it takes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "loadtest", "run", "constant", "--url", address, *QUICK]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # it is asking
            with connection:
                process.send_signal(signal.SIGINT)
                _, complaint = process.communicate(timeout=60)

    assert (process.returncode, complaint) == (128 + signal.SIGINT, "loadtest: interrupted\n")
