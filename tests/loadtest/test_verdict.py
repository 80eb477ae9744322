from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadtest.objective import Objective
from loadtest.trace import NOTHING, OUTCOME, Trace
from loadtest.verdict import judge_run, overall
from tests.loadtest.traces import FAILED, trace

OBJECTIVE = Objective(0.1)
FAST = trace([10.0] * 1000)


def ended(outcome: str, count: int = 10) -> Trace:
    """Requests that all ended in the same way."""
    return replace(trace([1.0] * count), outcome=np.full(count, OUTCOME[outcome], np.uint8))


@pytest.mark.parametrize(
    ("good", "word", "reason"),
    [
        (FAST, "met", None),
        (trace([10.0] * 980 + [200.0] * 20), "missed", "20 of 1000 requests took longer than 100 ms"),
        (trace([10.0] * 990 + [FAILED] * 10), "missed", "10 of 1000 requests failed"),
        (trace([10.0] * 400), "invalid", "it takes 459 requests"),
        (trace([10.0] * 495 + [200.0] * 5), "invalid", "it takes 1307 requests"),
        (NOTHING, "invalid", "no request was due"),
    ],
)
def test_a_run_is_held_against_its_objective(good: Trace, word: str, reason: str | None) -> None:
    """Met only if shown with confidence, missed if seen to be missed, and invalid if too few requests tell."""
    verdict = judge_run(good, NOTHING, OBJECTIVE, [])

    assert verdict.word == word
    assert [reason in each for each in verdict.reasons if reason] == ([True] if reason else [])


def test_a_run_in_which_most_fails_is_missed_whatever_was_promised() -> None:
    """Of overload a part may be refused, but a server that answers hardly anybody has not met anything."""
    most, some = [FAILED] * 60 + [10.0] * 40, [FAILED] * 40 + [10.0] * 60
    verdict = judge_run(trace(most), NOTHING, None, [])

    assert (verdict.word, verdict.reasons) == ("missed", ("60 of 100 requests failed or were dropped; at most 50%",))
    assert judge_run(trace(some), NOTHING, None, []).word == "met"


def test_doubts_come_first() -> None:
    """What was not measured well is neither met nor missed."""
    assert judge_run(trace([500.0] * 1000), NOTHING, OBJECTIVE, ["late"]).word == "invalid"


def test_wrong_answers_miss_any_objective() -> None:
    """Speed that comes from wrong answers counts for nothing, with or without an objective."""
    assert judge_run(ended("WRONG_ANSWER"), NOTHING, None, []).word == "missed"
    assert judge_run(FAST, ended("NOT_REFUSED"), None, []).word == "missed"
    assert judge_run(FAST, ended("OK"), OBJECTIVE, []).word == "met"


@pytest.mark.parametrize(("good", "bad"), [(ended("WRONG_ANSWER"), NOTHING), (FAST, ended("NOT_REFUSED"))])
def test_a_late_client_does_not_excuse_wrong_answers(good: Trace, bad: Trace) -> None:
    """They miss whatever is doubted, which is told behind them; a bad request that was dropped is no such answer."""
    verdict = judge_run(good, bad, OBJECTIVE, ["late"])

    assert verdict.word == "missed"
    assert [reason.startswith("10 of 10 ") for reason in verdict.reasons] == [True, False]
    assert judge_run(FAST, ended("DROPPED"), OBJECTIVE, ["late"]).word == "invalid"


def test_the_worst_of_several_verdicts_stands() -> None:
    """Missed over invalid over met."""
    assert overall(["met", "invalid", "missed"]) == "missed"
    assert overall(["met", "invalid"]) == "invalid"
    assert overall(["met"]) == "met"
