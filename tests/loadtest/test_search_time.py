"""A search keeps to its time, on a clock of its own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from loadtest.run import Conditions, Run
from loadtest.search import Search
from loadtest.search_settings import SearchSettings, check_time
from tests.loadtest.queues import OBJECTIVE, QUICK, queue


class _Timed:
    """Probes of a queue that take the time they would take, on a clock of their own."""

    def __init__(self, capacity: float) -> None:
        self.now = 0.0
        self._queue = queue(capacity)

    def __call__(self, rate: float, seconds: float, seed: int) -> Run:
        self.now += seconds + 2.5  # the lead, and the last answers
        return self._queue(rate, seconds, seed)

    def clock(self) -> float:
        """Seconds since the beginning."""
        return self.now


@pytest.mark.parametrize("minutes", [3.0, 4.0, 20.0])
def test_an_answer_is_confirmed_within_the_time(minutes: float) -> None:
    """With little time it is narrowed down less closely, and confirmed all the same; usually it takes a few minutes."""
    probe = _Timed(200)
    settings = replace(QUICK, first_rate=100, time_seconds=60 * minutes)
    result = Search(probe, OBJECTIVE, settings, clock=probe.clock).run()

    assert probe.now <= min(60 * minutes, 480)
    assert [item.purpose for item in result.probed[-3:]] == ["confirm"] * 3
    assert result.rate is not None
    assert 100 <= result.rate <= 185
    assert result.missed_rate is not None
    assert result.out_of_time == (result.missed_rate / result.rate > 1.06)
    assert result.out_of_time == (minutes == 3)


def test_time_is_kept_for_the_rates_below_an_answer() -> None:
    """Where none of them is known yet, they take time, too, before the answer can be confirmed."""
    probe = _Timed(200)
    settings = replace(QUICK, first_rate=160, time_seconds=150)
    result = Search(probe, OBJECTIVE, settings, clock=probe.clock).run()

    assert [item.purpose for item in result.probed[-5:]] == ["guard"] * 2 + ["confirm"] * 3
    assert result.rate == 160


def test_without_the_time_to_confirm_there_is_no_answer() -> None:
    """What met the objective by then is told, as something that is not confirmed."""
    probe = _Timed(200)
    settings = replace(QUICK, first_rate=400, time_seconds=140)
    result = Search(probe, OBJECTIVE, settings, clock=probe.clock).run()

    assert probe.now <= 140 + 2.5
    assert result.rate is None
    assert result.out_of_time
    assert result.met_rate == 100


def test_tells_what_spoiled_the_last_run_before_the_time_was_over() -> None:
    """Time that was lost on a client that cannot measure is explained."""
    probe = _Timed(200)

    def late(rate: float, seconds: float, seed: int) -> Run:
        return replace(probe(rate, seconds, seed), conditions=Conditions(0.95))

    result = Search(late, OBJECTIVE, replace(QUICK, first_rate=100, time_seconds=145), clock=probe.clock).run()

    assert result.out_of_time
    assert result.spoiled == "the client used 95% of its core; at most 80%"


def test_says_before_any_load_that_the_time_is_too_little() -> None:
    """A probe, those of rates below it, and three confirmations take more than two minutes."""
    with pytest.raises(ValueError, match=r"3 confirmations of p99 take 142 s at 100/s, and there are 125 s"):
        Search(queue(100), OBJECTIVE, replace(QUICK, first_rate=100, time_seconds=125))


def test_tells_where_the_time_goes_and_which_is_enough() -> None:
    """The time that is proposed holds the warm-up, too, and is taken."""
    settings = replace(QUICK, first_rate=100, time_seconds=30, before_seconds=30)
    with pytest.raises(ValueError, match=r"30 s for them, as the warm-up .* take 30 s: --time 190s is enough"):
        check_time(OBJECTIVE, settings)

    check_time(OBJECTIVE, replace(settings, time_seconds=190 - 30))


def test_tells_how_long_it_takes_on() -> None:
    """Between which rates the answer is, what is expected, and what is left."""
    probe = _Timed(200)
    told: list[str] = []
    search = Search(
        probe,
        OBJECTIVE,
        SearchSettings(first_rate=50),
        tell=lambda _probed: told.append(search.outlook()),
        clock=probe.clock,
    )
    search.run()

    assert re.fullmatch(r"about \d+:\d\d min left, at most 19:\d\d", told[0])
    assert told[1].startswith("50/s and more, about ")
    assert re.match(r"1\d\d(\.\d)? to 1\d\d(\.\d)?/s, about 0:0\d min left", told[-1])


def test_says_before_any_load_that_time_and_rate_are_too_little() -> None:
    """A p99 takes 459 requests, which 2/s do not give within two minutes."""
    with pytest.raises(
        ValueError, match=r"120 s at 2/s cannot show p99: it takes 459 requests, which are sure to arrive at 4\.4/s"
    ):
        Search(queue(100), OBJECTIVE, SearchSettings(first_rate=2))
