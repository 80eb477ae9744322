"""From runs to what they say: percentiles, errors, whether the measurement can be believed, and the verdict."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.early_stopping import requests_needed
from loadtest.intervals import intervals_ms
from loadtest.percentiles import percentiles_ms
from loadtest.validity import conditions, doubts
from loadtest.verdict import INVALID, MISSED, Verdict, judge_run, overall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.objective import Objective
    from loadtest.run import Run
    from loadtest.trace import Trace

_HEADLINE = (
    "offered_rate",
    "achieved_rate",
    "latency_ms",
    "service_ms",
    "errors",
    "dropped",
    "client_cpu",
    "requests",
)


def summarize(
    runs: Sequence[Run],
    objective: Objective | None = None,
    *,
    scenario: str = "",
    findings: dict[str, Any] | None = None,
    headline: int = -1,
    verdict: Verdict | None = None,
    misses: Sequence[str] = (),
    several: bool = False,
) -> dict[str, Any]:
    """What summary.json says of the runs of a scenario, the verdict first.

    Percentiles are of the response time (`latency_ms`, from the instant at which a request was due) and of the service
    time (`service_ms`, from when it was sent), in milliseconds. A request that failed or was dropped never got an
    answer: it counts as infinitely late, and a percentile that falls on one is null, as is one that too few requests
    tell.

    Args:
        runs: At least one.
        objective: What was promised.
        scenario: Its name.
        findings: The scenario's own numbers.
        headline: Which run stands at the top.
        verdict: The scenario's own; None when its judged runs decide.
        misses: Why the server missed what was asked of it beside what its runs show.
        several: Whether the scenario has several runs that count; an interruption leaves some of them out.
    """
    described = [describe_run(run, objective) for run in runs]
    partial = any(run.partial for run in runs)
    verdict = verdict or _verdict(described, misses, partial=partial, several=several)
    top = described[headline]
    return {
        "scenario": scenario,
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "partial": partial,
        **{key: top[key] for key in _HEADLINE},
        "objective": _objective(objective),
        "findings": findings or {},
        "headline": headline % len(runs),
        "runs": described,
    }


def _verdict(described: Sequence[dict[str, Any]], misses: Sequence[str], *, partial: bool, several: bool) -> Verdict:
    """The verdict on all judged runs, and on what was seen beside them; none where a peak is all that was asked for."""
    judged = [each for each in described if each["judged"]]
    if not judged:
        return Verdict(INVALID, ("it was interrupted before a run that counts",) if partial else ())
    labelled = len(described) > 1
    reasons = [f"{each['label']}: {reason}" if labelled else reason for each in judged for reason in each["reasons"]]
    words = [*(each["verdict"] for each in judged), *(MISSED for _ in misses)]
    if partial and several and MISSED not in words:
        return Verdict(INVALID, ("it was interrupted before all runs had ended", *reasons))
    return Verdict(overall(words), (*misses, *reasons))


def describe_run(run: Run, objective: Objective | None = None) -> dict[str, Any]:
    """What summary.json says of one run."""
    good = np.asarray(run.good)
    trace = run.trace.select(good[run.trace.message]) if not good.all() else run.trace
    found = conditions(run, objective)
    counts = trace.outcome_counts()
    span = trace.answering_seconds(run.seconds)
    decision = objective.decide(trace) if objective else None
    bad = run.trace.select(~good[run.trace.message])
    verdict = judge_run(trace, bad, objective, doubts(found))
    return {
        "label": run.label,
        "verdict": verdict.word,
        "reasons": list(verdict.reasons),
        "rate": run.rate,
        "concurrency": run.concurrency,
        "seed": run.seed,
        "seconds": run.seconds,
        "requests": len(trace),
        "images": int(np.asarray(run.images)[trace.message].sum()),
        "offered_rate": len(trace) / run.seconds,
        "achieved_rate": counts.get("OK", 0) / span,
        "goodput_rate": (len(trace) - objective.misses(trace)) / span if objective else None,
        "latency_ms": percentiles_ms(trace.response_seconds),
        "latency_interval_ms": intervals_ms(trace.response_seconds),
        "service_ms": percentiles_ms(trace.service_seconds),
        "lag_ms": percentiles_ms(trace.lag_seconds),
        "errors": {name: count for name, count in sorted(counts.items()) if name not in ("OK", "DROPPED")},
        "dropped": counts.get("DROPPED", 0),
        "client_cpu": run.conditions.client_cpu,
        "warm_up_seconds": run.warm_up_seconds,
        "partial": run.partial,
        "judged": run.judged,
        "decision": decision.value if decision else None,
        "misses": objective.misses(trace) if objective else None,
        "requests_needed": _requests_needed(trace, objective),
        "conditions": [dataclasses.asdict(each) for each in found],
        "bad_input": _bad_input(bad),
        "kinds": _kinds(run),
        "server_cpu_ms": run.server_cpu_ms,
        "server": dataclasses.asdict(run.server) | {"mean_batch": run.server.mean_batch} if run.server else None,
    }


def _requests_needed(trace: Trace, objective: Objective | None) -> int | None:
    return requests_needed(objective.misses(trace), objective.quantile, objective.confidence) if objective else None


def _objective(objective: Objective | None) -> dict[str, float] | None:
    if objective is None:
        return None
    return {
        "limit_ms": objective.limit_seconds * 1e3,
        "quantile": objective.quantile,
        "most_errors": objective.most_errors,
        "confidence": objective.confidence,
    }


def _bad_input(trace: Trace) -> dict[str, Any] | None:
    """How bad input fared: how much of it was refused as it should be, how fast, and what became of the rest."""
    if not len(trace):
        return None
    counts = trace.outcome_counts()
    return {
        "requests": len(trace),
        "refused": counts.get("OK", 0),
        "wrong": {name: count for name, count in sorted(counts.items()) if name != "OK"},
        "latency_ms": percentiles_ms(trace.response_seconds),
    }


def _kinds(run: Run) -> dict[str, Any]:
    """The latency of each kind of request, where there are several."""
    names = np.asarray(run.kinds)[run.trace.message]
    kinds = sorted(set(run.kinds))
    if len(kinds) < 2:  # noqa: PLR2004 - one kind is the whole run
        return {}
    traces = {kind: run.trace.select(names == kind) for kind in kinds}
    return {
        kind: {"requests": len(trace), "latency_ms": percentiles_ms(trace.response_seconds)}
        for kind, trace in traces.items()
    }
