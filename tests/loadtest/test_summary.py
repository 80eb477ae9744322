from __future__ import annotations

import json

import pytest

from loadtest.description import describe
from loadtest.objective import Objective
from loadtest.report import lateness
from loadtest.run import Conditions
from loadtest.summary import summarize
from loadtest.trace import OUTCOME, WRONG_ANSWER
from tests.loadtest.traces import DROPPED, FAILED, run

OBJECTIVE = Objective(0.1)


def test_latency_counts_from_when_a_request_was_due() -> None:
    """A client that sends late makes latencies longer, and service times not."""
    summary = summarize([run([30.0] * 100, lag_ms=20.0)])

    assert summary["latency_ms"]["p50"] == pytest.approx(30)
    assert summary["service_ms"]["p50"] == pytest.approx(10)


def test_a_request_that_hangs_does_not_lower_the_rates_of_those_that_are_answered() -> None:
    """Answers end with the run's second; that an error comes a second later makes them no slower."""
    summary = summarize([run([10.0] * 990 + [FAILED] * 10)], OBJECTIVE)

    assert summary["achieved_rate"] == pytest.approx(990)
    assert summary["runs"][0]["goodput_rate"] == pytest.approx(990)


def test_errors_and_drops_are_misses() -> None:
    """What never got an answer stands at the end of the latencies, and is not removed."""
    summary = summarize([run([10.0] * 970 + [FAILED] * 20 + [DROPPED] * 10)])

    assert summary["latency_ms"]["p95"] == pytest.approx(10)
    assert summary["latency_ms"]["p99"] is None
    assert summary["errors"] == {"UNAVAILABLE": 20}
    assert summary["dropped"] == 10
    assert summary["requests"] == 1000


@pytest.mark.parametrize(("lag_ms", "client_cpu", "word"), [(9.0, 0.1, "late"), (0.0, 0.95, "core")])
def test_a_client_that_was_too_slow_gives_no_verdict(lag_ms: float, client_cpu: float, word: str) -> None:
    """When the client may have been what was measured, the run is invalid and says why."""
    summary = summarize([run([10.0] * 1000, lag_ms, client_cpu)], OBJECTIVE)

    assert summary["verdict"] == "invalid"
    assert word in summary["reasons"][0]


def test_wrong_answers_decide_and_the_client_is_not_said_to_be_forgiven() -> None:
    """What the machine's host took is told beside them, as a doubt about all that is told of times."""
    measured = run([10.0] * 1000, conditions=Conditions(0.1, steal=0.02))
    measured.trace.outcome[:5] = OUTCOME[WRONG_ANSWER]
    summary = summarize([measured], Objective(0.1, most_errors=0.01))

    assert summary["verdict"] == "missed"
    assert [reason.split(" of ")[0] for reason in summary["reasons"]] == ["5", "the machine's host took 2.0%"]
    assert lateness.sentences(summary) == []


def test_a_run_that_misses_decides_over_one_that_is_invalid() -> None:
    """Of several runs the worst verdict stands, and reasons say which run they are about."""
    runs = [run([10.0] * 1000, label="good"), run([10.0] * 1000, lag_ms=9, label="doubtful")]
    assert summarize(runs, OBJECTIVE)["verdict"] == "invalid"

    summary = summarize([*runs, run([200.0] * 1000, label="slow")], OBJECTIVE)
    assert summary["verdict"] == "missed"
    assert [reason.split(":")[0] for reason in summary["reasons"]] == ["doubtful", "slow"]


def test_runs_that_are_not_judged_have_no_say() -> None:
    """A run that only looks for the peak may miss any objective."""
    runs = [run([900.0] * 1000, label="peak", judged=False), run([10.0] * 1000, label="half")]

    assert summarize(runs, OBJECTIVE)["verdict"] == "met"


def test_without_a_run_that_counts_there_is_no_verdict() -> None:
    """Somebody who interrupts the look for the peak is not told that the objective is met."""
    summary = summarize([run([10.0] * 1000, label="peak", judged=False, partial=True)], OBJECTIVE)

    assert summary["verdict"] == "invalid"
    assert summary["reasons"] == ["it was interrupted before a run that counts"]


def test_a_peak_is_no_verdict_and_was_not_interrupted() -> None:
    """Where a peak is all that was asked for, nothing is said of an objective or an interruption."""
    summary = summarize([run([10.0] * 1000, label="peak", judged=False)], OBJECTIVE, several=True)

    assert summary["reasons"] == []
    assert describe(summary).splitlines()[-1] == "no verdict: only the peak was asked for"
    assert "interrupted" not in describe(summary)


def test_some_of_several_runs_do_not_show_what_all_were_to_show() -> None:
    """Whoever interrupts them is not told that the objective is met, and is told of a miss that was seen."""
    runs = [run([10.0] * 1000, label="a quarter"), run([10.0] * 1000, label="half", partial=True)]
    summary = summarize(runs, OBJECTIVE, several=True)

    assert summary["verdict"] == "invalid"
    assert summary["reasons"] == ["it was interrupted before all runs had ended"]
    assert summarize(runs[1:], OBJECTIVE)["verdict"] == "met"
    missed = [run([200.0] * 1000, label="a quarter"), runs[1]]
    assert summarize(missed, OBJECTIVE, several=True)["verdict"] == "missed"


def test_a_run_without_answers_can_be_summarized_and_written() -> None:
    """A server that refuses everything gives a summary, too, and it is valid JSON."""
    summary = summarize([run([FAILED] * 10)])

    assert summary["achieved_rate"] == 0
    json.loads(json.dumps(summary, allow_nan=False))
