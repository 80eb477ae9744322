from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from loadtest.objective import Objective
from loadtest.run import Conditions, Run
from loadtest.trace import OUTCOME
from loadtest.validity import conditions, doubts
from tests.loadtest.traces import DROPPED, run, trace

GOOD = Conditions(client_cpu=0.3, steal=0.0, clock_drift=0.0, ceiling_rate=4000.0)
LATENCIES = [10.0] * 6000


def invalid(measured: Run, objective: Objective | None = None) -> list[str]:
    """The names of the conditions that do not hold."""
    return [condition.name for condition in conditions(measured, objective) if not condition.valid]


@pytest.mark.parametrize(
    ("fields", "lag_ms", "name"),
    [
        ({}, 0.0, None),
        ({}, 5.1, "client lag"),
        ({"conditions": Conditions(0.81)}, 0.0, "client CPU"),
        ({"conditions": Conditions(0.3, steal=0.02)}, 0.0, "steal"),
        ({"conditions": Conditions(0.3, clock_drift=0.002)}, 0.0, "clocks"),
        ({"conditions": Conditions(0.3, ceiling_rate=1999.0)}, 0.0, "generator's ceiling"),
    ],
)
def test_each_condition_has_its_bound(fields: dict[str, Any], lag_ms: float, name: str | None) -> None:
    """Just beyond a bound, its condition and no other one fails."""
    assert invalid(run(LATENCIES, lag_ms, **({"conditions": GOOD} | fields))) == ([name] if name else [])


def test_a_rate_at_the_generators_bound_counts_whatever_was_drawn() -> None:
    """A seed that draws more arrivals than the rate means does not make the run invalid."""
    assert invalid(run(LATENCIES, rate=990.0, conditions=Conditions(0.3, ceiling_rate=1980.0))) == []


def test_the_lag_that_matters_depends_on_the_objective() -> None:
    """A twentieth of the objective, and never less than a millisecond."""
    late = run(LATENCIES, lag_ms=2.0, conditions=GOOD)

    assert invalid(late, Objective(0.1)) == []
    assert invalid(late, Objective(0.03)) == ["client lag"]
    assert invalid(run(LATENCIES, lag_ms=0.9, conditions=GOOD), Objective(0.001)) == []


def test_a_client_that_falls_behind_has_not_offered_its_rate() -> None:
    """Requests that leave after the schedule's end were not offered at its rate."""
    assert "offered" in invalid(run(LATENCIES, lag_ms=200.0, conditions=GOOD))


def test_drops_are_not_the_clients_fault() -> None:
    """What is dropped because the server answers nothing counts as a miss and leaves the run valid."""
    assert invalid(run([10.0] * 3000 + [DROPPED] * 3000, conditions=GOOD)) == []


def test_a_closed_loop_has_no_lag() -> None:
    """Callers that wait for their answers are never late."""
    assert invalid(run(LATENCIES, lag_ms=50.0, rate=None, concurrency=4, conditions=GOOD)) == []


def test_a_client_that_stood_still_does_not_speak_against_the_server() -> None:
    """What it sent all at once, and what waited behind that, is slow by its own fault."""
    steady = trace([10.0] * 6000)
    first, last = 2000, 3000  # due while the client stood still, and sent together when it went on
    sent = np.where((steady.due >= 2.0) & (steady.due < 3.0), 3.0, steady.sent)
    done = steady.done.copy()
    done[first:last] = 3.0 + np.arange(1, 1001) * 1e-3
    done[last:4000] = np.maximum(done[last:4000], 4.0 + np.arange(1, 1001) * 0.5e-3)  # the backlog lasts a while
    stood_still = run([], trace=replace(steady, sent=sent, done=done), seconds=6.0, conditions=GOOD)

    assert any("late" in doubt for doubt in doubts(conditions(stood_still, Objective(0.1))))


def test_a_short_standstill_is_not_held_against_the_server() -> None:
    """Hardly any request is late, but all that the objective allows: without them it is met."""
    steady = trace([10.0] * 12000)
    sent = np.where((steady.due >= 2.0) & (steady.due < 2.11), 2.11, steady.sent)
    stood_still = run([], trace=replace(steady, sent=sent, done=sent + 0.01), seconds=12.0, conditions=GOOD)

    assert invalid(stood_still, Objective(0.1, 0.999)) == ["client standstill"]
    assert doubts(conditions(stood_still, Objective(0.1, 0.999))) != []
    assert doubts(conditions(stood_still, Objective(0.1, 0.99))) == []  # which is met with them, too


def test_what_is_dropped_behind_a_standstill_is_not_held_against_the_server() -> None:
    """When the client goes on, more is due at once than may be under way: that is its own fault, too."""
    steady = trace([10.0] * 6000)
    late = (steady.due >= 2.0) & (steady.due < 3.0)
    sent = np.where(late, 3.0, steady.sent)
    done = sent + 0.01
    sent[2500:3000] = done[2500:3000] = np.nan
    outcome = np.where(np.isnan(sent), OUTCOME["DROPPED"], steady.outcome).astype(np.uint8)
    stood_still = run([], trace=replace(steady, sent=sent, done=done, outcome=outcome), seconds=6.0, conditions=GOOD)

    assert doubts(conditions(stood_still, Objective(0.1))) != []


def test_what_a_slow_server_leaves_no_room_for_is_held_against_it() -> None:
    """Requests that were due when too many were under way are the server's doing: the run counts."""
    assert doubts(conditions(run([400.0] * 500 + [DROPPED] * 5500, conditions=GOOD), Objective(0.1))) == []


def test_a_late_client_is_forgiven_where_the_server_is_slow_anyway() -> None:
    """Were all requests sent in time, they would have been late all the same."""
    assert doubts(conditions(run([500.0] * 6000, lag_ms=20.0, conditions=GOOD), Objective(0.1))) == []
