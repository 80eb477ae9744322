"""The scenarios: each is a few runs in a session, and what they find."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from loadtest import recovery, schedule
from loadtest.peak import enough_callers, find_peak, warm_up_closed
from loadtest.reload import reloading
from loadtest.schedule import SCHEDULES
from loadtest.server_memory import memory_misses, watching
from loadtest.session import Interrupted
from loadtest.trace import WRONG_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.objective import Objective
    from loadtest.run import Run
    from loadtest.schedule import Schedule
    from loadtest.server_memory import MemoryMetric
    from loadtest.session import Session

Findings: TypeAlias = dict[str, Any]
"""A scenario's own numbers; "verdict" is a `Verdict` in place of that of its runs, "misses" are further reasons."""

_SWEEP = (1, 2, 4, 8, 16, 32)
_OVERLOAD = 1.5
PEAK_SHARES = (0.25, 0.5, 0.75, 0.9)
"""Rates at which servers are looked at, as shares of their peak."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user asks of a scenario.

    Attributes:
        rate: Requests a second; None where the scenario finds its own.
        seconds: Of each run.
        seed: Of the schedules.
        objective: What was promised.
        instants: To be replayed, in seconds.
        memory: Where the server tells its memory; None where nobody asks.
    """

    rate: float | None
    seconds: float
    seed: int = 0
    objective: Objective | None = None
    instants: Schedule | None = None
    memory: MemoryMetric | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario by name.

    Attributes:
        text: What it tells, for --help.
        run: Does it; gives the scenario's own numbers.
        rate: Requests a second where the user names none; None when the scenario needs none.
        schedule: Of its requests, a name in `SCHEDULES`, where it has a rate.
        batch_sizes: Images in a request where the user names none.
        bad_share: The share of requests that are bad input.
        compare_every: Of how many answers one is held against the answer at rest.
        most_of_rate: The highest mean rate that it offers, relative to the one that the user names.
        several: Whether it has several runs that count, so that one that is interrupted says too little.
    """

    text: str
    run: Callable[[Session, Plan], Findings]
    rate: float | None = 20.0
    schedule: str = "poisson"
    batch_sizes: tuple[int, ...] = (1,)
    bad_share: float = 0.0
    compare_every: int = 0
    most_of_rate: float = 1.0
    several: bool = False


def _scheduled(name: str) -> Callable[[Session, Plan], Findings]:
    def run(session: Session, plan: Plan) -> Findings:
        rate = _rate(plan)
        session.warm_up(rate)
        due = SCHEDULES[name](rate, plan.seconds, plan.seed)
        # Not the rate that the seed drew: results of several seeds are to be compared.
        meant = schedule.mean_rate(name, rate)
        session.open_loop(due, plan.seconds, label=name, rate=meant, seed=plan.seed)
        return {}

    return run


def _mixed_models(session: Session, plan: Plan) -> Findings:
    if len(session.target.models) < 2:  # noqa: PLR2004 - as it says
        raise ValueError("mixed-models needs several models: --model A --model B")
    return _scheduled("poisson")(session, plan)


def _replay(session: Session, plan: Plan) -> Findings:
    due = schedule.replay([] if plan.instants is None else plan.instants.tolist(), plan.rate)
    seconds = float(due[-1]) + 1e-9
    # In the second that its windows take at least, the warm-up sends no more than the whole replay.
    session.warm_up(len(due) / max(seconds, 1.0))
    session.open_loop(due, seconds, label="replay")
    return {"replayed_seconds": seconds}


def _verify(session: Session, plan: Plan) -> Findings:
    _scheduled("poisson")(session, plan)
    counts = session.runs[-1].trace.outcome_counts()
    return {"compared": counts.get("OK", 0) + counts.get(WRONG_ANSWER, 0), "wrong": counts.get(WRONG_ANSWER, 0)}


def _single(session: Session, plan: Plan) -> Findings:
    warm_up_closed(session)
    session.closed_loop(1, plan.seconds, label="one caller")
    return {}


def _offline(session: Session, plan: Plan) -> Findings:
    warm_up_closed(session)
    run = session.closed_loop(enough_callers(session, plan.seconds), plan.seconds, label="offline")
    return {"images_per_second": _images_per_second(run)}


def _sweep(session: Session, plan: Plan) -> Findings:
    warm_up_closed(session)
    rates = {}
    for callers in _SWEEP:
        run = session.closed_loop(callers, plan.seconds / len(_SWEEP), label=f"{callers} callers")
        rates[callers] = _images_per_second(run)
    return {"images_per_second_by_callers": rates}


def _server(session: Session, plan: Plan) -> Findings:
    full, name, found = _full_rate(session, plan)
    for share in PEAK_SHARES:
        rate = share * full
        due = schedule.poisson(rate, plan.seconds, plan.seed)
        session.open_loop(due, plan.seconds, label=f"{share:.0%} of {name}", rate=rate, seed=plan.seed)
    return found


def _burst(session: Session, plan: Plan) -> Findings:
    rate = _rate(plan)
    session.warm_up(rate)
    run = session.open_loop(
        schedule.burst(rate, plan.seconds, plan.seed), plan.seconds, label="bursts", rate=rate, seed=plan.seed
    )
    return recovery.findings(run, plan.objective)


def _overload(session: Session, plan: Plan) -> Findings:
    full, name, found = _full_rate(session, plan)
    rate = _OVERLOAD * full
    due = schedule.poisson(rate, plan.seconds, plan.seed)
    run = session.open_loop(due, plan.seconds, label=f"{_OVERLOAD:g} times {name}", rate=rate, seed=plan.seed)
    return {**found, **recovery.rejections(run, session.deadline_seconds)}


def _full_rate(session: Session, plan: Plan) -> tuple[float, str, Findings]:
    """The rate that others are told by, what it is, and what was found out about it: nothing if the user gave it."""
    if plan.rate is not None:
        session.warm_up(plan.rate / 2)
        return plan.rate, "the given rate", {}
    peak = find_peak(session, plan.seconds)
    return peak.rate, "the peak", peak.findings


def _soak(session: Session, plan: Plan) -> Findings:
    rate = _rate(plan)
    session.warm_up(rate)
    due = schedule.poisson(rate, plan.seconds, plan.seed)
    # What an interrupted soak has seen of the memory is told, too.
    with watching(plan.memory, plan.seconds) if plan.memory else nullcontext() as watch, suppress(Interrupted):
        session.open_loop(due, plan.seconds, label="soak", rate=rate, seed=plan.seed)
    found = recovery.drift(session.runs[-1])
    if watch is None:
        return found
    memory = watch.findings()
    return found | {"memory": memory, "misses": memory_misses(memory)}


def _reload(session: Session, plan: Plan) -> Findings:
    rate = _rate(plan)
    session.warm_up(rate)
    due = schedule.poisson(rate, plan.seconds, plan.seed)
    # Reloads that failed before an interruption failed all the same.
    with reloading(session.target) as reloads, suppress(Interrupted):
        session.open_loop(due, plan.seconds, label="reloads", rate=rate, seed=plan.seed)
    return reloads.findings()


def _rate(plan: Plan) -> float:
    if plan.rate is None:
        raise ValueError("this scenario needs a rate")
    return plan.rate


def _images_per_second(run: Run) -> float:
    answered = run.trace.message[run.trace.ok]
    return float(np.asarray(run.images)[answered].sum()) / run.trace.answering_seconds(run.seconds)


SCENARIOS = {
    "poisson": Scenario("independent callers at a rate", _scheduled("poisson")),
    "constant": Scenario("evenly spaced requests at a rate", _scheduled("constant"), schedule="constant"),
    "step": Scenario("five steps up to a rate", _scheduled("step"), schedule="step"),
    "ramp": Scenario("from nothing to a rate", _scheduled("ramp"), schedule="ramp"),
    "burst": Scenario(
        "four times the mean rate for a fifth of the time, and how soon it recovers", _burst, schedule="burst"
    ),
    "replay": Scenario("the arrivals in a file of instants (--schedule)", _replay, rate=None),
    "single": Scenario("one caller that waits for each answer", _single, rate=None),
    "offline": Scenario("as many images a second as it answers", _offline, rate=None),
    "sweep": Scenario("1 to 32 callers that wait for each answer", _sweep, rate=None, several=True),
    "server": Scenario("Poisson arrivals at 25, 50, 75 and 90 % of the peak", _server, rate=None, several=True),
    "overload": Scenario(
        "1.5 times the peak: what it still answers, and how fast it refuses",
        _overload,
        rate=None,
        most_of_rate=_OVERLOAD,
    ),
    "soak": Scenario("a rate for long: does it drift, and does the server's memory grow (--metrics-url)", _soak),
    "mixed-batches": Scenario("requests of 1, 2, 4 and 8 images", _scheduled("poisson"), batch_sizes=(1, 2, 4, 8)),
    "mixed-models": Scenario("several models at once (--model A --model B)", _mixed_models),
    "bad-input": Scenario("a tenth of the requests is bad input", _scheduled("poisson"), bad_share=0.1),
    "reload": Scenario("the model is loaded again and again meanwhile", _reload),
    "verify": Scenario("every answer is held against the answer at rest", _verify, compare_every=1),
}
"""What `python -m loadtest run` offers."""
