from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from typing import Any

from rich.console import Console

from loadtest.calibration import null_server
from loadtest.progress import Progress
from loadtest.terminal import Terminal
from loadtest.trace import NOTHING
from tests.loadtest.traces import DROPPED, FAILED, trace
from tests.terminal import Screen

COMMAND = ["run", "constant", "--payload", "uint8", "--rate", "50", "--duration", "1500ms", "--warm-up", "0"]


def progress(**fields: Any) -> Progress:
    """A run that has gone on for 12 of 30 seconds."""
    values: dict[str, Any] = {"run": 0, "label": "poisson", "target": "host:1", "scenario": "poisson"}
    values |= {"elapsed_seconds": 12.0, "total_seconds": 30.0, "rate": 100.0, "trace": trace([10.0] * 1200)}
    return Progress(**values | {"in_flight": 3, "client_cpu": 0.25} | fields)


def shown(*steps: Progress, terminal: bool) -> str:
    """What stands on the screen after these steps, without the codes that move the cursor."""
    screen = StringIO()
    with Terminal(Console(file=screen, force_terminal=terminal, width=120)) as view:
        for step in steps:
            view(step)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())


def test_a_terminal_shows_how_a_run_stands() -> None:
    """Rates, percentiles, what is in flight, what failed, the client's own state and the time that is left."""
    times = [10.0] * 1190 + [FAILED] * 7 + [DROPPED] * 3
    text = shown(progress(trace=trace(times, lag_ms=2.0)), terminal=True)

    for part in (
        "poisson",
        "18 s left",
        "100.0/s offered, 99.2/s answered",
        "p50 10.0 ms",
        "p99 10.0 ms",
        "3 in flight",
        "7 errors, 3 dropped",
        "sent 2.0 ms late (p99)",
        "client CPU 25%",
    ):
        assert part in text


def test_a_log_gets_a_line_now_and_then() -> None:
    """Elsewhere than on a terminal a line comes every ten seconds of a run, and no codes that move a cursor."""
    steps = [progress(elapsed_seconds=second / 2) for second in range(60)]
    lines = shown(*steps, terminal=False).splitlines()

    assert [line.split(",")[0] for line in lines] == ["poisson: 10 of 30 s", "poisson: 20 of 30 s"]
    assert shown(*(progress(run=run, elapsed_seconds=9.5) for run in range(9)), terminal=False) == ""


def test_the_first_moment_of_a_run_can_be_shown() -> None:
    """Before the first answer, before the run proper, without a rate and after the end there is something to say."""
    text = shown(
        progress(trace=NOTHING, elapsed_seconds=-1.5),
        progress(trace=NOTHING, elapsed_seconds=0.0, rate=None, label="[red]x" * 20),
        progress(elapsed_seconds=31.0),
        progress(trace=trace([FAILED] * 1200)),
        terminal=True,
    )

    assert "waiting for the last answers" in text
    assert "[red]x" in text
    assert "p50 ∞ ms" in text


def test_a_real_run_shows_itself_on_a_terminal_only() -> None:
    """On a terminal the view is there and is cleared; standard output holds the same as without one."""
    with null_server("--size", "16") as url:
        command = [sys.executable, "-m", "loadtest", *COMMAND, "--url", url, "--no-calibration"]
        with Screen() as screen:
            output = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=screen.end, text=True, timeout=60, check=False
            ).stdout
        piped = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "50.0/s offered" in screen.text
    assert "in flight" in screen.text
    assert "in flight" not in output
    assert "75 requests" in output
    assert piped.stderr == ""
