from __future__ import annotations

from loadtest.early_stopping import Decision
from loadtest.objective import Objective
from tests.loadtest.traces import DROPPED, FAILED, trace

OBJECTIVE = Objective(0.1)


def test_errors_and_drops_are_misses() -> None:
    """Whatever has no right answer within the limit missed it."""
    assert OBJECTIVE.misses(trace([99.0, 101.0, FAILED, DROPPED])) == 3


def test_the_quantile_decides() -> None:
    """Ten of a thousand may be late, eleven may not."""
    assert OBJECTIVE.observed_met(trace([10.0] * 990 + [200.0] * 10))
    assert not OBJECTIVE.observed_met(trace([10.0] * 989 + [200.0] * 11))


def test_more_errors_than_allowed_miss_it() -> None:
    """Two failures of a thousand are too many, though p99 is met."""
    failing = trace([10.0] * 998 + [FAILED] * 2)

    assert OBJECTIVE.decide(failing) is Decision.MISSED
    assert not OBJECTIVE.observed_met(failing)
    assert OBJECTIVE.decide(trace([10.0] * 999 + [FAILED])) is Decision.MET


def test_it_says_how_many_requests_show_it() -> None:
    """459 requests in time show a 99th percentile with 99 % confidence."""
    assert OBJECTIVE.least_requests == 459
    assert OBJECTIVE.decide(trace([10.0] * 459)) is Decision.MET
    assert OBJECTIVE.decide(trace([10.0] * 458)) is Decision.OPEN
