from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.observed_request import Breakdown
from server.slow_requests import RequestSummary, SlowRequests


class Clock:
    """A clock that stands until it is moved; in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def _summary(total_ms: float, reason: str = "", finished: float = 0.0) -> RequestSummary:
    breakdown = Breakdown(total_ms, 0.0, 0.0, total_ms, 0.0)
    code = "UNAVAILABLE" if reason else "OK"
    return RequestSummary(finished, "id", "model", "1", "s/M", code, reason, 1, breakdown)


def _offer(slow: SlowRequests, total_ms: float) -> None:
    if slow.is_among_slowest(total_ms):
        slow.add(_summary(total_ms))


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_the_slowest_of_a_minute_are_kept(times: list[float]) -> None:
    """Whatever order they come in, the ten slowest stay, the slowest first."""
    slow = SlowRequests(Clock())
    for total_ms in times:
        _offer(slow, total_ms)
    assert [each.breakdown.total_ms for each in slow.slowest()] == sorted(times, reverse=True)[:10]


def test_a_bad_minute_hides_no_other() -> None:
    """Each minute keeps its own slowest, so that those of now are seen beside those of a bad time before."""
    clock = Clock()
    slow = SlowRequests(clock)
    for _ in range(50):
        _offer(slow, 5000.0)
    clock.now += 60
    _offer(slow, 80.0)
    assert [each.breakdown.total_ms for each in slow.slowest()] == [5000.0] * 10 + [80.0]


def test_what_is_long_ago_is_forgotten() -> None:
    """After ten minutes nothing is left, also where nothing has come since."""
    clock = Clock()
    slow = SlowRequests(clock)
    _offer(slow, 5000.0)
    clock.now += 9 * 60
    assert len(slow.slowest()) == 1
    clock.now += 60
    assert slow.slowest() == []


def test_a_flood_of_failures_hides_no_other_kind() -> None:
    """The last five of each reason are kept, the last one of all first."""
    slow = SlowRequests(Clock())
    slow.add(_summary(1.0, "model", finished=1.0))
    for second in range(1000):
        slow.add(_summary(1.0, "queue_full", finished=2.0 + second))
    assert [each.reason for each in slow.failures()] == ["queue_full"] * 5 + ["model"]
    assert slow.failures()[0].finished == 1001.0
    assert slow.slowest() == []
