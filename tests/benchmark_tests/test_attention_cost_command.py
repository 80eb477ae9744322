"""The command measures real exports and real servers, or leaves everything as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.attention_cost.command import main
from tests.benchmarks.attention_cost.costs import Costs

COMMAND = [sys.executable, "-m", "tests.benchmarks.attention_cost"]
TINY = ["--attention", "se", "--width", "0.1", "--size", "32", "--engine-rounds", "2", "--rounds", "1"]
LOAD = ["--rate", "5", "--duration", "1s", "--probe", "500ms", "--objective", "2s"]
ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run([*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False)


def test_files_hang_together(tmp_path: Path) -> None:
    """Two members are exported, executed and served; numbers, page and plot tell of both, and can be drawn again."""
    finished = run(*TINY, *LOAD, "--output", str(tmp_path))

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [str(tmp_path / f"attention-cost.{suffix}") for suffix in ("json", "md", "svg")]
    costs = Costs.from_json((tmp_path / "attention-cost.json").read_text())
    assert [member.attention for member in costs.members] == ["none", "se"]
    assert costs.members[0].parameters < costs.members[1].parameters
    for name in ("none", "se"):
        assert [sorted(costs.engine[name][number]) for number in range(2)] == [[1, 2, 4, 8]] * 2
        (found,) = costs.served[name]
        assert (found.requests > 0, found.failed) == (True, 0)
        assert found.images_per_second
        assert f"| {name} |" in (tmp_path / "attention-cost.md").read_text()
    assert "host" not in costs.machine

    again = run("--redraw", str(tmp_path / "attention-cost.json"), "--output", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    for suffix in ("json", "md", "svg"):
        name = f"attention-cost.{suffix}"
        assert (tmp_path / "again" / name).read_text() == (tmp_path / name).read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_measurement_writes_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """One line says that it was interrupted; what was there stays as it was."""
    (tmp_path / "attention-cost.md").write_text("as before")
    command = [*COMMAND, *TINY, *LOAD, "--output", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()

    assert first == "attention-cost: exporting none\n"
    assert rest.splitlines()[-1] == "attention-cost: interrupted; nothing was written"
    assert process.returncode == 130
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("attention-cost.md", "as before")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attention", "se,magic"], "'magic' is not one of none, se,"),
        (["--network", "vgg"], "invalid choice: 'vgg'"),
        (["--rounds", "0"], "above 0"),
        (["--seed", "-1"], "-1 is not from 0 to 4294967295"),
        (["--redraw", "absent.json"], "absent.json"),
        (["--output", "/dev/null/docs"], "/dev/null"),
        (["--redraw", "Makefile"], "these are no costs that were measured"),
    ],
)
def test_wrong_options_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """What cannot be measured or drawn ends in exit code 2 and says why."""
    try:
        status: object = main(["--output", str(tmp_path), *options])
    except SystemExit as leaving:
        status = leaving.code
    assert status == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
