from __future__ import annotations

import argparse
import re

import pytest

from loadtest import run_command
from loadtest.scenarios import SCENARIOS
from loadtest.schedule import SCHEDULES


def run(*arguments: str) -> int:
    """The exit status of a run for which there is no server."""
    parser = argparse.ArgumentParser()
    run_command.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["run", *arguments, "--url", "127.0.0.1:1", "--objective", "100ms"])
    return int(parsed.execute(parsed))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["poisson", "constant", "step", "ramp", "burst", "bad-input"])
def test_the_duration_that_is_recommended_is_enough(name: str, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the schedule and the seed, as many good requests as are needed fall into it, and it is taken."""
    arguments = (name, "--rate", "25", "--seed", str(seed))
    assert run(*arguments, "--duration", "8s") == 2
    found = re.search(r"that takes 459: --duration (\d+)s at this rate$", capsys.readouterr().err)
    assert found

    due = SCHEDULES[SCENARIOS[name].schedule](25, float(found[1]), seed)
    assert len(due) * (1 - SCENARIOS[name].bad_share) >= 459
    assert run(*arguments, "--duration", f"{found[1]}s") == 2
    assert "UNAVAILABLE" in capsys.readouterr().err


def test_a_scenario_with_a_rate_names_the_schedule_that_it_sends() -> None:
    """Those that have one of their own are called like it; all others that have a rate are Poisson arrivals."""
    named = {name: scenario.schedule for name, scenario in SCENARIOS.items() if scenario.rate}

    assert {name: schedule for name, schedule in named.items() if schedule != "poisson"} == {
        name: name for name in SCHEDULES if name != "poisson"
    }


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("single", "--rate", "5"), "in single callers wait for their answers: it takes no --rate"),
        (("offline", "--rate", "5"), "in offline callers wait for their answers: it takes no --rate"),
        (("replay", "--duration", "5s"), "it takes no --duration"),
    ],
)
def test_what_a_scenario_cannot_heed_is_refused(
    arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is to believe that it was heeded."""
    assert run(*arguments) == 2
    assert text in capsys.readouterr().err
