from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from loadtest.compare_servers_command import turns
from loadtest.same_settings import copy_model
from loadtest.server_process import serve
from tests.loadtest.scrape import wait_for_metric

COMMAND = (sys.executable, "-m", "loadtest", "compare-servers")


def test_turns_alternate() -> None:
    """Each round has both, and the order turns: what gets slower with time hits both alike."""
    assert [name for _, name in turns(4)] == [
        *("python", "triton", "triton", "python"),
        *("python", "triton", "triton", "python"),
    ]
    assert [number for number, _ in turns(2)] == [0, 0, 1, 1]


def test_both_servers_get_the_same_settings(image_repository: Path, tmp_path: Path) -> None:
    """Instances and threads stand in the copy's configuration; everything else of it stays."""
    copy_model(image_repository, "colours", 2, 3, tmp_path / "copy")

    path = Path("colours", "config.pbtxt")
    original, copied = (
        text_format.Parse((directory / path).read_text(), model_config_pb2.ModelConfig())
        for directory in (image_repository, tmp_path / "copy")
    )
    assert [(group.count, group.kind) for group in copied.instance_group] == [(2, 2)]
    assert copied.parameters["INTRA_OP_THREAD_COUNT"].string_value == "3"
    for config in (original, copied):
        del config.instance_group[:]
        config.parameters.pop("INTRA_OP_THREAD_COUNT", None)
    assert copied == original
    assert (tmp_path / "copy" / "colours" / "1" / "model.pt").is_file()


def test_a_server_lives_as_long_as_it_is_needed(image_repository: Path) -> None:
    """It answers within the block, and its process is gone after it."""
    with serve("python", image_repository, "colours") as served:
        assert psutil.pid_exists(served.process.pid)
        assert served.url.startswith("127.0.0.1:")
    assert not psutil.pid_exists(served.process.pid)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """What the server said last is in the error."""
    with pytest.raises(RuntimeError, match="nowhere"), serve("python", tmp_path / "nowhere", "colours"):
        pass


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--model-repository", "nowhere"], "nowhere"),
        (["--rates", "0"], "must be a number above 0"),
        (["--rounds", "0"], "must be a whole number above 0"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_line(arguments: list[str], text: str, tmp_path: Path) -> None:
    """Status 2, before any server is started."""
    command = [*COMMAND, "--output", str(tmp_path / "new"), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 2
    assert text in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


def test_rounds_are_not_mixed_with_older_ones(tmp_path: Path) -> None:
    """A directory that holds rounds is left alone."""
    (tmp_path / "python").mkdir()
    finished = subprocess.run(
        [*COMMAND, "--output", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 2
    assert "holds rounds already" in finished.stderr


def test_an_interrupted_comparison_ends_and_keeps_what_it_has(image_repository: Path, tmp_path: Path) -> None:
    """Ctrl-C during a turn ends everything, the server too; the turn's result is there, marked as partial."""
    plan = ["--model-repository", str(image_repository), "--model", "colours", "--rates", "20", "--duration", "1h"]
    command = [*COMMAND, *plan, "--warm-up", "0", "--no-calibration", "--metrics-port", "0", "--output", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        address = process.stderr.readline().split()[-1]
        wait_for_metric(address, "loadgen_requests", 5)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        process.stderr.read()
        process.wait(60)

    assert process.returncode == 2
    assert json.loads((tmp_path / "python" / "round-01" / "summary.json").read_text())["partial"]
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
