from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from loadtest import results
from loadtest.calibration import null_server
from loadtest.description import describe
from loadtest.objective import Objective
from loadtest.report import write_report
from loadtest.server_statistics import ServerSplit
from loadtest.summary import summarize
from loadtest.verdict import INVALID, MET, Verdict
from tests.loadtest.traces import DROPPED, FAILED, run

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.run import Run

OBJECTIVE = Objective(0.1)


def report(directory: Path, runs: list[Run], **fields: Any) -> tuple[dict[str, Any], ET.Element]:
    """The summary of some runs, and the page that is written on them."""
    results.write(directory, runs, summarize(runs, fields.pop("objective", OBJECTIVE), **fields))
    page = write_report(directory).read_text(encoding="utf-8")
    return json.loads((directory / "summary.json").read_text()), ET.fromstring(page.partition("\n")[2])  # noqa: S314


def text(page: ET.Element) -> str:
    """What is on a page."""
    return " ".join("".join(page.itertext()).split())


def titles(page: ET.Element) -> list[str]:
    """Of the charts on a page."""
    return ["".join(figure.find("h3").itertext()) for figure in page.iter("figure")]  # type: ignore[union-attr]


def latencies(count: int = 2000, mean_ms: float = 20.0) -> list[float]:
    """Response times as of an M/M/1 queue."""
    return np.random.default_rng(count).exponential(mean_ms, count).tolist()


def split(**fields: Any) -> ServerSplit:
    """What a server says of a run."""
    values: dict[str, Any] = {"requests": 100, "failures": 0, "images": 100, "executions": 50, "batch_sizes": {2: 50}}
    values |= {"request_ms": 9.0, "queue_ms": 3.0, "compute_input_ms": 0.5, "compute_infer_ms": 4.0}
    return ServerSplit(**values | {"compute_output_ms": 0.5} | fields)


def test_numbers_on_the_page_are_those_of_the_summary(tmp_path: Path) -> None:
    """Every number of the run stands on the page with its exact value, however it is rounded for the eye."""
    summary, page = report(tmp_path, [run(latencies(), server=split())])

    values = {float(each.attrib["value"]) for each in page.iter("data")}
    found = summary["runs"][0]
    told = [found["offered_rate"], found["achieved_rate"], *filter(None, found["latency_ms"].values())]
    assert {*told, *filter(None, found["service_ms"].values())} <= values
    assert found["requests"] == 2000


def test_the_verdict_comes_first(tmp_path: Path) -> None:
    """The first words of page and text say whether the objective was met, and by how much."""
    summary, page = report(tmp_path, [run([10.0] * 2000)])

    assert page.find("body/main/*[1]/h1") is not None
    assert text(page.find("body/main/*[1]")).startswith("met")  # type: ignore[arg-type]
    sentence = "At 1,000 requests/s, p50 10 ms, p99 10 ms: p99 ≤ 100 ms met by 90 ms"
    assert text(page.find("body/main/*[1]/h1")) == f"{sentence}."  # type: ignore[arg-type]
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith(f"# {sentence}\n")
    assert summary["verdict"] == "met"


@pytest.mark.parametrize(("api", "images"), [("classify", 8), ("classify", 1), ("v2", 8)])
def test_the_network_is_not_blamed_for_other_images(tmp_path: Path, api: str, images: int) -> None:
    """Where a server tells of each image by itself, what a request takes beyond is called what it is."""
    runs = [run([20.0] * 100, server=split(), images=(images,))]
    results.write(tmp_path, runs, summarize(runs, OBJECTIVE) | {"target": {"api": api}})
    page = write_report(tmp_path).read_text(encoding="utf-8")

    told = api == "classify" and images > 1
    assert ("other images of the request, network and client 11 ms" in page) == told
    assert ("own split for an image, and" in page) == told
    assert "network and client 11 ms" in page


def test_several_rates_tell_what_is_carried(tmp_path: Path) -> None:
    """Of several rates the highest that met the objective is told, and the lowest that missed it."""
    rates = {20.0: 10.0, 40.0: 15.0, 80.0: 200.0}
    runs = [run([ms] * 2000, rate=rate, seconds=2000 / rate, label=f"{rate:g}/s") for rate, ms in rates.items()]
    _, page = report(tmp_path, runs)

    heading = text(page.find("body/main/*[1]/h1"))  # type: ignore[arg-type]
    assert heading == "This deployment carries 40 requests/s with p99 ≤ 100 ms, and misses that at 80."
    assert "Latency against offered load" in titles(page)
    assert "carries 40/s" in text(page)


def test_a_rate_that_met_above_one_that_missed_is_not_carried(tmp_path: Path) -> None:
    """Luck at a higher rate does not make up for a miss at a lower one."""
    rates = {20.0: 10.0, 40.0: 200.0, 80.0: 15.0}
    runs = [run([ms] * 2000, rate=rate, seconds=2000 / rate, label=f"{rate:g}/s") for rate, ms in rates.items()]
    _, page = report(tmp_path, runs)

    assert "carries 20 requests/s" in text(page.find("body/main/*[1]/h1"))  # type: ignore[arg-type]


def test_what_lower_rates_show_is_told_where_higher_ones_are_doubtful(tmp_path: Path) -> None:
    """A rate that met its objective stands, although the client was too late at the next."""
    runs = [run([10.0] * 2000, rate=20.0, seconds=100.0), run([50.0] * 2000, lag_ms=30.0, rate=40.0, seconds=50.0)]
    summary, page = report(tmp_path, runs)

    assert summary["verdict"] == "invalid"
    assert "carries at least 20 requests/s" in text(page.find("body/main/*[1]/h1"))  # type: ignore[arg-type]


def test_a_search_says_what_the_deployment_carries(tmp_path: Path) -> None:
    """The rate is rounded down, as it is a promise."""
    probed = [{"rate": 84.37, "decision": "met", "requests": 5000, "misses": 3, "purpose": "confirm"}] * 3
    findings = {"rate": 84.37, "missed_rate": 88.0, "probed": probed}
    runs = [run(latencies(), rate=84.37, seconds=24.0) for _ in range(3)]
    _, page = report(tmp_path, runs, scenario="search", findings=findings)

    top = text(page.find("body/main/*[1]"))  # type: ignore[arg-type]
    assert "This deployment carries 84.3 requests/s with p99 ≤ 100 ms." in top
    assert "Confirmed by 3 runs" in top
    assert "88 requests/s did not meet it" in top
    assert "99 % of all requests are answered rightly within 100 ms of the instant they were due" in top
    assert text(page).count("84.4to confirm5,0003met") == 3


def test_a_search_without_an_answer_shows_the_highest_rate_that_met(tmp_path: Path) -> None:
    """Its last run may have missed: what was seen where the objective was met is told, and the reason last."""
    rates = {20.0: 10.0, 28.0: 15.0, 40.0: 700.0}
    runs = [run([ms] * 2000, rate=rate, seconds=2000 / rate, label=f"{rate:g}/s") for rate, ms in rates.items()]
    reason = "the time of 100 s ran out before a rate was confirmed; 28/s met the objective"
    fields = {"findings": {"rate": None, "met_rate": 28.0}, "verdict": Verdict(INVALID, (reason,))}
    summary, page = report(tmp_path, runs, scenario="search", **fields)

    assert "What was seen nevertheless: at 28 requests/s, p50 15 ms" in text(page.find("body/main/*[1]"))  # type: ignore[arg-type]
    assert "In the run “28/s”" in text(page)
    assert describe(summary).splitlines()[-1].endswith(f"invalid: this says little about the server: {reason}")


def test_a_search_that_the_client_ended_says_at_least(tmp_path: Path) -> None:
    """Page, text and terminal say first that it may be more, and then what the client could not do."""
    probed = [{"rate": 184.37, "decision": "met", "requests": 5000, "misses": 3, "purpose": "confirm"}] * 3
    limit = {"rate": 190.0, "reason": "99 % of the requests left at most 5.07 ms late; at most 5.00 ms"}
    findings = {"rate": 184.37, "missed_rate": None, "client_limit": limit, "out_of_time": False, "probed": probed}
    runs = [run(latencies(), rate=184.37, seconds=24.0) for _ in range(3)]
    verdict = Verdict(MET)
    summary, page = report(tmp_path, runs, scenario="search", findings=findings, verdict=verdict)

    sentence = (
        "This deployment carries at least 184 requests/s with p99 ≤ 100 ms, and this client, not the server, is the"
    )
    why = f"At 190 requests/s this client cannot measure the server: {limit['reason']}"
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    for told in (text(page.find("body/main/*[1]")), markdown, describe(summary)):  # type: ignore[arg-type]
        assert sentence in told
        assert why in told


def test_a_doubtful_measurement_gives_no_verdict(tmp_path: Path) -> None:
    """When the client was what was measured, the page says so first, and why."""
    _, page = report(tmp_path, [run([50.0] * 2000, lag_ms=30.0)])

    top = text(page.find("body/main/*[1]"))  # type: ignore[arg-type]
    assert "No verdict: this client or its machine, and not the server, may have been measured." in top
    assert "late" in top
    assert "INVALID" in text(page)


def test_a_lag_that_makes_no_difference_is_told(tmp_path: Path) -> None:
    """Page and terminal say why a late client does not excuse a server that misses from sending alone."""
    summary, page = report(tmp_path, [run([900.0] * 2000, lag_ms=30.0)])

    told = "99 % of the requests left at most 30.00 ms late; at most 5.00 ms"
    sentence = f"This client sent late, too ({told}), but from sending alone the objective is missed as well"
    assert summary["verdict"] == "missed"
    assert sentence in text(page.find("body/main/*[1]"))  # type: ignore[arg-type]
    assert sentence in describe(summary)

    punctual = report(tmp_path, [run([900.0] * 2000)])[0]
    assert "sent late, too" not in describe(punctual) + (tmp_path / "report.md").read_text(encoding="utf-8")


EDGES = {
    "nothing was answered": [run([FAILED] * 50)],
    "nothing was sent": [run([DROPPED] * 50)],
    "one request": [run([5.0])],
    "one of a hundred failed": [run([*latencies(500), *[FAILED] * 10, *[DROPPED] * 10])],
    "thirty runs": [run(latencies(200), rate=float(rate), label=f"run {rate}") for rate in range(1, 31)],
    "interrupted": [run(latencies(30), partial=True)],
    "callers": [run(latencies(200), rate=None, concurrency=callers, label=f"{callers}") for callers in (1, 2, 4)],
    "a server without answers": [run([FAILED] * 9, server=split(requests=0, executions=0, images=0, batch_sizes={}))],
    "a server that tells nothing": [run([5.0] * 100, server=split(request_ms=None, queue_ms=None))],
    "equal times": [run([7.0] * 3000)],
}


@pytest.mark.parametrize("objective", [OBJECTIVE, None], ids=["objective", "no objective"])
@pytest.mark.parametrize("name", EDGES)
def test_every_result_has_a_report(name: str, objective: Objective | None, tmp_path: Path) -> None:
    """Whatever came out of a measurement, it can be read: well-formed, with a sentence, nothing undefined in it."""
    _, page = report(tmp_path, EDGES[name], objective=objective)

    assert len(text(page.find("body/main/*[1]/h1"))) > 10  # type: ignore[arg-type]
    whole = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\b(nan|inf|None|NaN)\b", whole)
    assert not re.search(r"\b(nan|inf|None|NaN)\b", (tmp_path / "report.md").read_text(encoding="utf-8"))


def test_nothing_is_fetched_and_no_script_runs(tmp_path: Path) -> None:
    """The page can be read anywhere, for ever: it refers to nothing outside of it."""
    _, page = report(tmp_path, [run(latencies(), server=split())])

    assert not {each.tag.rpartition("}")[2] for each in page.iter()} & {"script", "link", "img", "iframe", "object"}
    assert not [each.attrib for each in page.iter() if {"href", "src", "srcset"} & each.attrib.keys()]
    style = text(page.find("head/style"))  # type: ignore[arg-type]
    assert "url(" not in style
    assert "@import" not in style


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    """What comes from a user or a server is text, whatever it looks like."""
    evil = '<script>alert(1)</script> & "quotes" | pipe'
    runs = [run(latencies(), label=evil, kinds=(evil,), rate=rate) for rate in (10.0, 20.0)]
    _, page = report(tmp_path, runs, scenario=evil, findings={evil: evil})

    assert not list(page.iter("script"))
    assert evil in text(page)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert "\\| pipe" in markdown


def test_failures_are_marked_where_they_were(tmp_path: Path) -> None:
    """Errors and drops have their own marks on the timeline, and the share without an answer is shaded."""
    _, page = report(tmp_path, [run([*latencies(500), *[FAILED] * 30, *[DROPPED] * 20, *latencies(450)])])

    marks = [each.attrib for each in page.iter() if "cross" in each.attrib.get("class", "").split()]
    assert {mark["data-colour"] for mark in marks} == {"failed", "dropped"}
    assert "5 % never got a right answer" in text(page)
    assert "UNAVAILABLE" in text(page)


def test_time_is_split_without_a_rest(tmp_path: Path) -> None:
    """The parts of the mean add up to what the client saw."""
    _, page = report(tmp_path, [run([12.0] * 1000, lag_ms=1.0, server=split())], objective=Objective(1.0))

    (figure,) = (each for each in page.iter("figure") if text(each).startswith("Where the time went"))
    parts = dict(re.findall(r"([a-z ]+?) ([\d.]+) ms", text(figure.find("p[@class='legend']"))))  # type: ignore[arg-type]
    assert {name.strip(): float(value) for name, value in parts.items()} == {
        "queue": 3,
        "gathering inputs": 0.5,
        "model": 4,
        "handing out outputs": 0.5,
        "rest of the server": 1,
        "network and client": 2,
        "late sending": 1,
    }


def test_bad_input_is_kept_out_of_latencies(tmp_path: Path) -> None:
    """What had to be refused is told apart, in figures as in the summary."""
    trace = run([10.0] * 2000).trace
    trace.message[::2] = 1
    trace.done[::2] += 5.0
    mixed = run([], trace=trace, seconds=2.0, kinds=("x1", "bad: shape"), images=(1, 1), good=(True, False))
    summary, page = report(tmp_path, [mixed])

    assert summary["latency_ms"]["p99"] == pytest.approx(10)
    assert "Bad input" in text(page)
    times = [each.attrib["d"] for each in page.iter() if each.attrib.get("class") == "line"]
    assert times
    (plot,) = (each for each in page.iter("figure") if text(each).startswith("Percentiles"))
    assert "5,000" not in text(plot)


def test_a_run_writes_its_report_and_it_can_be_written_again(tmp_path: Path) -> None:
    """`run --output` leaves the page with the data; `report` makes the same from them."""
    with null_server("--size", "16", "--service", "exponential:2ms") as url:
        command = ["run", "poisson", "--url", url, "--payload", "uint8", "--rate", "100", "--duration", "2s"]
        command += ["--warm-up", "0", "--no-calibration", "--output", str(tmp_path)]
        finished = subprocess.run(
            [sys.executable, "-m", "loadtest", *command], capture_output=True, text=True, timeout=120, check=False
        )
    assert finished.returncode in (0, 3), finished.stderr
    first = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"python -m loadtest run poisson --url {url}" in first

    (tmp_path / "report.html").unlink()
    again = subprocess.run(
        [sys.executable, "-m", "loadtest", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert again.stdout.strip() == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == first


def test_what_is_no_result_is_told_in_a_line(tmp_path: Path) -> None:
    """A directory without results ends the command with status 2."""
    finished = subprocess.run(
        [sys.executable, "-m", "loadtest", "report", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
