from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.warm_up import until_steady
from tests.loadtest.traces import FAILED, trace

if TYPE_CHECKING:
    from loadtest.trace import Trace


def offered(medians_ms: list[float], rate: float = 100.0, most_seconds: float = 30.0) -> float:
    """The seconds of load that it takes with windows of these medians; the last one lasts."""

    def window(seconds: float, number: int) -> Trace:
        return trace([medians_ms[min(number, len(medians_ms)) - 1]] * round(rate * seconds))

    return until_steady(window, rate, most_seconds)


def test_it_ends_when_three_windows_agree() -> None:
    """Medians that still fall by more than a tenth are not steady."""
    assert offered([10.0]) == 3
    assert offered([50.0, 30.0, 20.0, 10.0, 10.5, 10.2]) == 6


def test_it_ends_in_any_case() -> None:
    """A server that never settles is measured after the longest warm-up, and none is possible."""
    assert offered([10.0, 20.0] * 20, most_seconds=7) == 7
    assert offered([10.0], most_seconds=0) == 0


def test_errors_are_not_steady() -> None:
    """Windows without answers do not agree on anything."""
    assert offered([FAILED], most_seconds=5) == 5


def test_a_low_rate_takes_longer_windows() -> None:
    """Twenty requests are the least that a median is taken of, and a hundred in all."""
    assert offered([10.0], rate=10.0, most_seconds=60) == 10
