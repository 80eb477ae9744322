from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest import results
from loadtest.calibration import null_server
from loadtest.comparison import Compared
from loadtest.objective import Objective
from loadtest.report.comparison_page import state
from loadtest.summary import summarize
from loadtest.verdict import Verdict
from tests.loadtest.traces import FAILED, run

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.run import Run


def runs(mean_ms: float, seed: int, rates: tuple[float, ...] = (100.0, 200.0), lag_ms: float = 0.0) -> list[Run]:
    """A run at each rate whose latencies have that mean."""
    generator = np.random.default_rng(seed)
    times = [(mean_ms * generator.exponential(size=2000)).tolist() for _ in rates]
    return [
        run([lag_ms + time for time in each], lag_ms, rate=rate, seconds=2000 / rate, label=f"{rate:g}/s")
        for each, rate in zip(times, rates, strict=True)
    ]


def series(directory: Path, mean_ms: float, rounds: int = 5, **fields: float) -> Path:
    """Rounds whose machine is disturbed from round to round, in the same way for all series."""
    for number in range(rounds):
        found = runs(mean_ms * (1 + number % 3), 100 * number + int(mean_ms), **fields)  # type: ignore[arg-type]
        results.write(directory / f"round-{number}", found, summarize(found, Objective(1.0)))
    return directory


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as its users do."""
    command = [sys.executable, "-m", "loadtest", "compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_difference_is_found_beneath_disturbances_that_are_larger(tmp_path: Path) -> None:
    """Rounds differ threefold and the servers by half: the pairs show it, with status 1 as B is worse."""
    first, second = series(tmp_path / "fast", 10), series(tmp_path / "slow", 15)
    finished = compare(first, second, "--output", tmp_path / "report")

    assert finished.returncode == 1, finished.stderr
    assert finished.stdout.startswith("slow's p99 at 200 requests/s is 1.")
    found = json.loads((tmp_path / "report" / "comparison.json").read_text())["compared"]
    p50 = next(each for each in found if each["metric"] == "p50, ms")
    assert p50["ratio"]["rounds"] == 5
    assert p50["ratio"]["low"] <= 1.5 <= p50["ratio"]["high"]
    assert compare(second, first).returncode == 0


def test_the_page_tells_what_the_command_tells(tmp_path: Path) -> None:
    """The page is well-formed, fetches nothing, begins with the claim, and has both curves and every interval."""
    finished = compare(series(tmp_path / "a<b", 10), series(tmp_path / "b", 15), "--output", tmp_path / "report")
    page = ET.fromstring((tmp_path / "report" / "report.html").read_text().partition("\n")[2])  # noqa: S314

    heading = "".join(page.find("body/main/*[1]/h1").itertext())  # type: ignore[union-attr]
    assert heading == finished.stdout.splitlines()[0] + "."
    assert "a<b" in heading
    assert not [each for each in page.iter() if {"href", "src"} & each.attrib.keys()]
    assert len([each for each in page.iter("td") if each.get("class") == "picture"]) == 6
    assert len(list(page.iter("figure"))) == 1
    assert (tmp_path / "report" / "report.md").read_text().startswith("# b's p99 at 200 requests/s")


def test_where_nothing_differs_nothing_is_claimed(tmp_path: Path) -> None:
    """Two series of the same are no difference, and that is no failure."""
    first, second = series(tmp_path / "one", 10), series(tmp_path / "two", 10)
    finished = compare(first, second)

    assert finished.returncode == 0
    assert finished.stdout.startswith("No difference between one and two may be claimed")


def test_intervals_that_are_too_wide_do_not_say_that_nothing_differs(tmp_path: Path) -> None:
    """Two rounds that contradict each other are no evidence of equality: headline and badge say so; status 3."""
    for name, means in (("one", (10.0, 10.0)), ("two", (40.0, 3.0))):
        for number, mean_ms in enumerate(means):
            found = runs(mean_ms, number, rates=(100.0,))
            results.write(tmp_path / name / str(number), found, summarize(found, Objective(1.0)))
    finished = compare(tmp_path / "one", tmp_path / "two", "--output", tmp_path / "report")

    assert finished.returncode == 3, finished.stderr
    assert finished.stdout.startswith("Whether one and two differ cannot be told: no interval is narrower than")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "cannot tell" in page
    assert "no difference" not in page.lower()


@pytest.mark.parametrize(("left_out", "text"), [(1, "1 round does not count"), (2, "2 rounds do not count")])
def test_rounds_that_do_not_count_are_counted_in_good_english(left_out: int, text: str) -> None:
    """One round is no plural."""
    found = Compared("", "p50, ms", more_is_better=False, first=(), second=(), left_out=left_out, ratio=None)

    assert state(("one", "two"), [found]).details[0].startswith(text)


def test_one_round_is_no_claim(tmp_path: Path) -> None:
    """However far apart two single results are, chance is not excluded: status 3."""
    for name, mean_ms in (("one", 10.0), ("two", 100.0)):
        found = runs(mean_ms, 1)
        results.write(tmp_path / name, found, summarize(found))
    finished = compare(tmp_path / "one", tmp_path / "two", "--output", tmp_path / "report")

    assert finished.returncode == 3
    assert finished.stdout.startswith("Nothing may be claimed: a claim takes 2 rounds")
    assert "may be claimed" in (tmp_path / "report" / "report.html").read_text()


def test_rounds_that_measured_the_client_do_not_count(tmp_path: Path) -> None:
    """Rounds in which the client was late say nothing of the servers."""
    first = series(tmp_path / "one", 10, lag_ms=90.0)
    second = series(tmp_path / "two", 30)
    finished = compare(first, second)

    assert finished.returncode == 3
    assert "5 rounds do not count" in finished.stdout


def test_rounds_in_which_a_server_failed_do_not_speak_for_it(tmp_path: Path) -> None:
    """Whoever answers fast in two rounds, and to most callers in none of three others, is not called faster."""
    first = series(tmp_path / "one", 30, rates=(100.0,))
    second = series(tmp_path / "two", 10, rates=(100.0,))
    for number in range(3):
        found = [run([10.0] * 900 + [FAILED] * 1100, rate=100.0, seconds=20.0)]
        results.write(second / f"round-{number}", found, summarize(found, Objective(1.0)))
    finished = compare(first, second, "--output", tmp_path / "report")

    assert "two's p99 at 100 requests/s counts as infinite in 3 rounds" in finished.stdout
    assert not finished.stdout.startswith("two's p")
    compared = json.loads((tmp_path / "report" / "comparison.json").read_text())["compared"]
    p99 = next(each for each in compared if each["metric"] == "p99, ms")
    assert (p99["failed"], p99["left_out"], p99["ratio"]["rounds"], p99["claimed"]) == ([0, 3], 3, 2, False)
    assert "\N{INFINITY}" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_rounds_in_which_the_client_was_late_for_a_slow_server_count_against_it(tmp_path: Path) -> None:
    """A server that takes the client's cores and misses its objective is not judged by its two good rounds alone."""
    first = series(tmp_path / "one", 30, rates=(100.0,))
    second = series(tmp_path / "two", 10, rates=(100.0,))
    for number in range(3):
        found = [run([3000.0] * 2000, lag_ms=90.0, rate=100.0, seconds=20.0)]
        summary = summarize(found, Objective(1.0))
        assert summary["verdict"] == "missed"
        results.write(second / f"round-{number}", found, summary)
    finished = compare(first, second)

    assert "two's p99 at 100 requests/s counts as infinite in 3 rounds" in finished.stdout
    assert not finished.stdout.startswith("two's p")


def test_a_server_that_fails_in_every_round_is_not_found_to_be_as_good(tmp_path: Path) -> None:
    """Where its percentile is infinite there is no ratio, and yet no reason to be content: status 3, and 0 for it."""
    for name, failures in (("one", (0, 0)), ("two", (40, 30))):
        for number, failed in enumerate(failures):
            found = [run([10.0] * (2000 - failed) + [FAILED] * failed, rate=100.0, seconds=20.0)]
            results.write(tmp_path / name / str(number), found, summarize(found, Objective(1.0)))

    assert compare(tmp_path / "one", tmp_path / "two").returncode == 3
    assert compare(tmp_path / "two", tmp_path / "one").returncode == 0


def test_a_search_that_found_no_rate_does_not_count_for_its_server(tmp_path: Path) -> None:
    """A server that carries more in three rounds and nothing in a fourth is not said to carry more."""
    for name, rates in (("one", (80.0, 85.0, 82.0, 81.0)), ("two", (160.1, 170.2, 164.3, None))):
        for number, rate in enumerate(rates):
            verdict = Verdict("met" if rate else "missed")
            found = runs(10, 1, rates=(50.0 + 50 * (name == "two"),))
            findings = {"rate": rate, "missed_rate": None, "probed": []}
            summary = summarize(found, Objective(1.0), scenario="search", findings=findings, verdict=verdict)
            results.write(tmp_path / name / str(number), found, summary)
    finished = compare(tmp_path / "one", tmp_path / "two")

    assert finished.returncode == 3, finished.stderr
    assert finished.stdout.startswith("No difference between one and two may be claimed")
    assert "two's rate that is carried counts as 0 in 1 round" in finished.stdout
    assert compare(tmp_path / "two", tmp_path / "one").returncode == 0


def test_offline_results_are_compared_whatever_callers_it_took(tmp_path: Path) -> None:
    """How many callers a server needs is found anew in each run, and differs between servers."""
    for name, factor in (("one", 1.0), ("two", 1.5)):
        for number in range(5):
            callers = 64 if number % 2 else 128
            seconds = 20.0 * (1 + number % 3)
            found = [run([10.0] * int(2000 * factor), rate=None, seconds=seconds, concurrency=callers, label="offline")]
            results.write(tmp_path / name / str(number), found, summarize(found, scenario="offline"))
    finished = compare(tmp_path / "one", tmp_path / "two")

    assert not finished.stderr
    assert "two's answered with as many callers as it takes is 1.5 times that of one" in finished.stdout


def test_searches_are_compared_by_what_is_carried(tmp_path: Path) -> None:
    """Of two series of searches, the rates that were found are compared."""
    for name, factor in (("one", 1.0), ("two", 1.2)):
        for number, rate in enumerate((80.0, 85.0, 82.0)):
            findings = {"rate": rate * factor + 0.1 * number, "missed_rate": None, "probed": []}
            found = runs(10, 1, rates=(rate * factor,))
            summary = summarize(found, Objective(1.0), scenario="search", findings=findings)
            results.write(tmp_path / name / str(number), found, summary)
    finished = compare(tmp_path / "one", tmp_path / "two")

    assert finished.returncode == 0
    assert finished.stdout.startswith("two's rate that is carried is 1.2 times that of one")


@pytest.mark.parametrize("bound", [{"client_limit": {"rate": 90.0, "reason": "busy"}}, {"out_of_time": True}])
def test_a_search_that_found_a_lower_bound_is_not_compared(tmp_path: Path, bound: dict[str, object]) -> None:
    """What the client could not send, or had no time for, the server may well carry."""
    for name in ("one", "two"):
        for number, rate in enumerate((80.0, 85.0, 82.0)):
            findings = {"rate": rate, "missed_rate": None, "probed": [], **(bound if name == "two" else {})}
            found = runs(10, 1, rates=(rate,))
            summary = summarize(found, Objective(1.0), scenario="search", findings=findings)
            results.write(tmp_path / name / str(number), found, summary)

    assert compare(tmp_path / "one", tmp_path / "two", "--output", tmp_path / "report").returncode == 3
    [carried, *_] = json.loads((tmp_path / "report" / "comparison.json").read_text())["compared"]
    assert (carried["metric"], carried["left_out"], carried["ratio"]) == ("rate that is carried", 3, None)


@pytest.mark.parametrize("case", ["nothing", "rounds", "loads", "objectives"])
def test_what_cannot_be_compared_is_told_in_a_line(case: str, tmp_path: Path) -> None:
    """Status 2, and why."""
    first = series(tmp_path / "one", 10, rounds=2)
    if case == "rounds":
        second, text = series(tmp_path / "two", 10, rounds=3), "2 rounds cannot be paired with 3"
    elif case == "loads":
        second, text = series(tmp_path / "two", 10, rounds=2, rates=(7.0,)), "no load in common"  # type: ignore[arg-type]
    elif case == "objectives":
        second, text = tmp_path / "two", "they differ in their objective"
        for number in range(2):
            found = runs(10, number)
            results.write(second / f"round-{number}", found, summarize(found, Objective(2.0)))
    else:
        second, text = tmp_path / "empty", "there is no result"
    finished = compare(first, second)

    assert finished.returncode == 2
    assert text in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_rounds_of_other_seeds_and_durations_have_their_rate_in_common(tmp_path: Path) -> None:
    """What was asked for is compared, and not what a seed drew of it: steps to 50 a second are 30 on average."""
    with null_server("--size", "16", "--service", "constant:1ms") as url:
        for place, output in enumerate(("one", "two")):
            command = ["run", "step", "--url", url, "--payload", "uint8", "--rate", "50", "--seed", str(place)]
            command += ["--duration", f"{1 + place / 10}s", "--warm-up", "0", "--no-calibration"]
            command += ["--output", str(tmp_path / output)]
            subprocess.run([sys.executable, "-m", "loadtest", *command], capture_output=True, timeout=120, check=False)
    finished = compare(tmp_path / "one", tmp_path / "two", "--output", tmp_path / "report")

    assert finished.returncode == 3, finished.stderr
    assert "p50, ms at 30 requests/s" in (tmp_path / "report" / "report.md").read_text()


def test_real_results_are_compared(tmp_path: Path) -> None:
    """Results of two null servers can be read and laid side by side; one round each is no claim."""
    for name, mean in (("quick", "1ms"), ("slow", "20ms")):
        with null_server("--size", "16", "--service", f"constant:{mean}") as url:
            command = ["run", "constant", "--url", url, "--payload", "uint8", "--rate", "30", "--duration", "1s"]
            command += ["--warm-up", "0", "--no-calibration", "--output", str(tmp_path / name)]
            subprocess.run([sys.executable, "-m", "loadtest", *command], capture_output=True, timeout=120, check=False)
    finished = compare(tmp_path / "quick", tmp_path / "slow", "--output", tmp_path / "report")

    assert finished.returncode == 3, finished.stderr
    assert "p50, ms at 30 requests/s" in (tmp_path / "report" / "report.md").read_text()
