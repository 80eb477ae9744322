from __future__ import annotations

from server.live.outcomes import OUTCOMES, REASONS, by_outcome
from server.rpc_metrics import REASONS as COUNTED


def test_each_reason_has_an_outcome() -> None:
    """Every reason that is counted, and no other, belongs to exactly one outcome, and only our failures to `failed`."""
    outcomes = {reason: by_outcome(0, {reason: 1}) for reason in COUNTED}
    assert all(sum(counted.values()) == 1 for counted in outcomes.values())
    assert {reason for reasons in REASONS.values() for reason in reasons} == set(COUNTED)
    assert {reason for reason, counted in outcomes.items() if counted["failed"]} == {"model", "internal"}


def test_successes_and_unknown_reasons_are_counted() -> None:
    """What nobody has thought of counts as a failure."""
    assert by_outcome(7, {"novel": 2}) == dict.fromkeys(OUTCOMES, 0) | {"ok": 7, "failed": 2}
