from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.log_sampling import CauseLog, Sampler

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("server.tests")


class Clock:
    """A clock that stands until it is moved; in seconds."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def _raised(function: Callable[[], object]) -> Exception:
    """What `function` raises, with its trace."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
        function()
    return raised.value


def _number(text: str) -> Exception:
    return _raised(lambda: int(text))


def _index(number: int) -> Exception:
    return _raised(lambda: [][number])


def test_the_first_is_let_through_and_the_others_are_counted() -> None:
    """A kind is heard at once; after a while it is heard again, with how often it was kept back."""
    clock = Clock()
    sampler = Sampler(10.0, clock)
    assert [sampler.admit("a") for _ in range(4)] == [0, None, None, None]
    assert sampler.admit("b") == 0
    clock.now += 10
    assert [sampler.admit("a"), sampler.admit("a"), sampler.admit("b")] == [3, None, 0]
    clock.now += 10
    assert sampler.admit("a") == 1


@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_event_is_lost(gaps: list[float]) -> None:
    """Those let through, those they tell of and those kept back since are all there were."""
    clock = Clock()
    sampler = Sampler(10.0, clock)
    told = kept = 0
    for gap in gaps:
        clock.now += gap
        suppressed = sampler.admit("kind")
        if suppressed is None:
            kept += 1
        else:
            assert suppressed == kept
            told += 1 + suppressed
            kept = 0
    assert told + kept == len(gaps)


def test_a_trace_is_logged_once_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The same mistake again, with other numbers, has one line at most in ten seconds; another one has its trace."""
    clock = Clock()
    causes = CauseLog(logger, clock)
    for number in range(100):
        causes.error("m: an execution failed", _number(f"{number}x"), model="m")
    causes.error("m: an execution failed", _index(3), model="m")
    assert [bool(record.exc_info) for record in caplog.records] == [True, True]
    clock.now += 10
    causes.error("m: an execution failed", _number("7x"), model="m")
    line = caplog.records[-1]
    assert not line.exc_info
    assert "invalid literal for int() with base 10: '7x'" in line.getMessage()
    assert vars(line)["suppressed"] == 99
    assert vars(line)["model"] == "m"


def test_causes_without_end_are_not_remembered_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Code whose every exception says something else fills neither the log nor memory."""
    causes = CauseLog(logger, Clock())
    names = [chr(ord("a") + first) + chr(ord("a") + second) for first in range(26) for second in range(26)]
    for name in names:
        causes.error("failed", _raised(lambda name=name: {}[name]))  # type: ignore[misc]
    assert sum(bool(record.exc_info) for record in caplog.records) == 100
    assert len(caplog.records) == 101
    assert len(causes._known) == 100


def test_an_exception_that_says_nothing_has_a_name(caplog: pytest.LogCaptureFixture) -> None:
    """The line tells at least what kind it was."""
    clock = Clock()
    causes = CauseLog(logger, clock)
    causes.error("failed", MemoryError())
    clock.now += 10
    causes.error("failed", MemoryError())
    assert "MemoryError" in caplog.records[-1].getMessage()
