"""The verdict on a run: met, missed, or invalid when it says nothing about the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadtest.early_stopping import Decision, requests_needed
from loadtest.trace import NOT_REFUSED, OUTCOME, REFUSED_OTHERWISE, WRONG_ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loadtest.objective import Objective
    from loadtest.trace import Trace

MET, MISSED, INVALID = "met", "missed", "invalid"
_MOST_FAILED = 0.5  # where nothing is promised: of 1.5 times the peak a third is refused
EXIT_CODES = {MET: 0, MISSED: 1, INVALID: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`MET`, `MISSED` or `INVALID`, and why it is one of the latter."""

    word: str
    reasons: tuple[str, ...] = ()


def overall(words: Iterable[str]) -> str:
    """The verdict on several runs: one that missed decides, and else one that is invalid."""
    found = set(words)
    return next(word for word in (MISSED, INVALID, MET) if word in found)


def judge_run(good: Trace, bad: Trace, objective: Objective | None, doubts: Sequence[str]) -> Verdict:
    """The verdict on a run.

    Args:
        good: Its requests with good input.
        bad: Its requests with bad input, which had to be refused.
        objective: What was promised; None when only wrong answers, and failures of more than half, can miss it.
        doubts: Why the run may have measured something else than the server.
    """
    if not len(good) + len(bad):
        doubts = [*doubts, "no request was due"]
    # However late or busy the client was: no answer is wrong, and no bad request is answered, because of that.
    if doubts and not _count(good, WRONG_ANSWER) + _count(bad, NOT_REFUSED):
        return Verdict(INVALID, tuple(doubts))
    if wrong := _wrong_answers(good, bad):
        return Verdict(MISSED, (*wrong, *doubts))
    if objective and len(good):
        return _against(objective, good)
    failed = int(np.count_nonzero(~good.ok))
    if failed > _MOST_FAILED * len(good):
        return Verdict(
            MISSED, (f"{failed} of {len(good)} requests failed or were dropped; at most {_MOST_FAILED:.0%}",)
        )
    return Verdict(MET)


def _count(trace: Trace, outcome: str) -> int:
    return int(np.count_nonzero(trace.outcome == OUTCOME[outcome]))


def _wrong_answers(good: Trace, bad: Trace) -> list[str]:
    wrong = _count(good, WRONG_ANSWER)
    taken = _count(bad, NOT_REFUSED) + _count(bad, REFUSED_OTHERWISE)
    reasons = []
    if wrong:
        reasons.append(f"{wrong} of {len(good)} answers are not those that the server gave at rest")
    if taken:
        reasons.append(f"{taken} of {len(bad)} bad requests were not refused as they should have been")
    return reasons


def _against(objective: Objective, trace: Trace) -> Verdict:
    if not objective.errors_within_bound(trace):
        failed = int(np.count_nonzero(~trace.ok))
        text = f"{failed} of {len(trace)} requests failed or were dropped; at most {objective.most_errors:.1%}"
        return Verdict(MISSED, (text,))
    misses = objective.misses(trace)
    text = f"{misses} of {len(trace)} requests took longer than {objective.limit_seconds * 1e3:g} ms"
    if not objective.observed_met(trace):
        return Verdict(MISSED, (f"{text}; at most {1 - objective.quantile:.3%} may",))
    if objective.decide(trace) is not Decision.MET:
        needed = requests_needed(misses, objective.quantile, objective.confidence)
        return Verdict(INVALID, (f"too few requests: {text}; to be sure of so many it takes {needed} requests",))
    return Verdict(MET)
