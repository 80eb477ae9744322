"""Whether a run measured the server, or the client and the machine around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from loadtest import early_stopping
from loadtest.calibration import SHARE_OF_CEILING
from loadtest.early_stopping import Decision
from loadtest.objective import USUAL_LIMIT_SECONDS
from loadtest.percentiles import quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from loadtest.objective import Objective
    from loadtest.run import Run
    from loadtest.trace import Trace

_LEAST_LAG_SECONDS = 1e-3
_LAG_SHARE = 0.05  # of the objective
MOST_CPU = 0.8  # of a core: a busier client measures itself
_LEAST_OFFERED = 0.99
_MOST_STEAL = 0.01
_MOST_CLOCK_DRIFT = 1e-3
_STANDSTILL_SHARE = 0.5  # of the objective
_FORGIVEN = ("offered", "client lag")
_LEAST_SECONDS_FOR_CLOCKS = 5.0  # in less, a jump of a few milliseconds says nothing


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to hold for a run to count.

    Attributes:
        name: What it is about.
        valid: Whether it holds.
        text: What was found and what the bound is, as one sentence without a full stop.
        forgiven: Whether it does not hold and the run counts all the same.
    """

    name: str
    valid: bool
    text: str
    forgiven: bool = False


def conditions(run: Run, objective: Objective | None) -> tuple[Condition, ...]:
    """Every condition that the run has to hold, each with what was found.

    Where the server misses its objective even from the instants at which requests left, late or not, it makes no
    difference that the client was late, or could not send what found too many waiting: that is forgiven. Unless the
    client itself stood still: what it then sent all at once, and what had to wait behind that, is not counted against
    the server.
    """
    forgiven = _FORGIVEN if objective and _missed_when_sent(run, objective) else ()
    found = _conditions(run, objective)
    return tuple(replace(item, forgiven=not item.valid and item.name in forgiven) for item in found)


def doubts(found: Iterable[Condition]) -> list[str]:
    """Why a run may say nothing about the server: conditions that do not hold and are not forgiven."""
    return [item.text for item in found if not item.valid and not item.forgiven]


def _missed_when_sent(run: Run, objective: Objective) -> bool:
    service_seconds = run.trace.service_seconds[~_behind_a_standstill(run.trace, objective.limit_seconds)]
    late = int(np.count_nonzero(~(service_seconds <= objective.limit_seconds)))
    decision = early_stopping.decide(len(service_seconds), late, objective.quantile, objective.confidence)
    return decision is Decision.MISSED


def _behind_a_standstill(trace: Trace, limit_seconds: float) -> NDArray[np.bool_]:
    """Which requests' turn came very late, [N], or while one of those that left had not been answered yet."""
    dropped = np.isnan(trace.sent)
    # Requests have their turn in order: what was dropped had it when the one before left.
    turn = np.where(dropped, np.fmax.accumulate(trace.sent), trace.sent)
    very_late = turn - trace.due > max(_LEAST_LAG_SECONDS, _STANDSTILL_SHARE * limit_seconds)
    order = np.argsort(turn, kind="stable")
    answered = np.where(very_late & ~dropped, np.nan_to_num(trace.done, nan=np.inf), -np.inf)[order]
    behind = np.empty(len(trace), bool)
    behind[order] = turn[order] < np.maximum.accumulate(answered)
    return behind | very_late


def _conditions(run: Run, objective: Objective | None) -> Iterator[Condition]:
    client = run.conditions
    if run.rate is not None:
        yield from _open_loop_conditions(run, run.rate, objective.limit_seconds if objective else USUAL_LIMIT_SECONDS)
    if run.rate is not None and objective:
        yield _standstill_condition(run.trace, objective)
    yield Condition(
        "client CPU",
        client.client_cpu <= MOST_CPU,
        f"the client used {client.client_cpu:.0%} of its core; at most {MOST_CPU:.0%}",
    )
    if client.ceiling_rate:
        # The rate that was meant, where there is one: at the bound, what the seed drew is above it half of the time.
        sent = len(run.trace) / run.seconds if run.rate is None else run.rate
        share = sent / client.ceiling_rate
        yield Condition(
            "generator's ceiling",
            share <= SHARE_OF_CEILING,
            f"{sent:.0f}/s are {share:.0%} of the {client.ceiling_rate:.0f}/s that this client can send; at most "
            f"{SHARE_OF_CEILING:.0%}",
        )
    if client.steal is not None:
        yield Condition(
            "steal",
            client.steal <= _MOST_STEAL,
            f"the machine's host took {client.steal:.1%} of its CPU time; at most 1 %",
        )
    if client.clock_drift is not None and run.seconds >= _LEAST_SECONDS_FOR_CLOCKS:
        yield Condition(
            "clocks",
            client.clock_drift <= _MOST_CLOCK_DRIFT,
            f"wall clock and steady clock differ by {client.clock_drift:.3%} of the run; at most 0.1 %",
        )


def _standstill_condition(trace: Trace, objective: Objective) -> Condition:
    """That the client has not spent what the objective allows the server to be late."""
    behind = _behind_a_standstill(trace, objective.limit_seconds)
    others = trace.select(~behind)
    blameless = objective.observed_met(trace) or not (len(others) and objective.observed_met(others))
    found = f"{np.count_nonzero(behind)} requests left very late, or had to wait for those"
    return Condition(
        "client standstill",
        blameless,
        found if blameless else f"{found}, since the client stood still; without them the objective is met",
    )


def _open_loop_conditions(run: Run, rate: float, limit_seconds: float) -> Iterator[Condition]:
    lag = np.sort(run.trace.lag_seconds)
    lag_p99 = quantile(lag, 0.99) if len(lag) else 0.0
    bound = max(_LEAST_LAG_SECONDS, _LAG_SHARE * limit_seconds)
    yield Condition(
        "client lag",
        lag_p99 <= bound,
        f"99 % of the requests left at most {lag_p99 * 1e3:.2f} ms late; at most {bound * 1e3:.2f} ms",
    )
    # What was dropped because the server had too many requests already is the server's fault, not the client's.
    in_time = np.isnan(run.trace.sent) | (run.trace.sent <= run.seconds + bound)
    share = float(in_time.mean()) if len(run.trace) else 0.0
    yield Condition(
        "offered",
        share >= _LEAST_OFFERED,
        f"{share:.1%} of the {rate:.4g} requests a second that were to be offered were; at least {_LEAST_OFFERED:.0%}",
    )
