"""The search finds the rate that a queue carries, and says why where it finds none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest import schedule
from loadtest.early_stopping import Decision
from loadtest.percentiles import quantile
from loadtest.search import Search
from loadtest.search_settings import SearchSettings
from loadtest.trace import DROPPED, OUTCOME
from tests.loadtest.queues import OBJECTIVE, QUICK, queue, run_of

if TYPE_CHECKING:
    from loadtest.run import Run


def _highest_rate(capacity: float) -> float:
    """The highest rate at which p99 of runs so long that they show the queue itself is within the objective."""
    met, missed = 0.1 * capacity, capacity
    while missed / met > 1.01:
        middle = (met + missed) / 2
        trace = queue(capacity)(middle, 200_000 / middle, 12345).trace
        within = float(quantile(np.sort(trace.response_seconds), 0.99)) <= OBJECTIVE.limit_seconds
        met, missed = (middle, missed) if within else (met, middle)
    return met


@pytest.mark.parametrize("capacity", [60.0, 200.0])
def test_finds_the_rate_at_which_a_queue_just_meets_the_objective(capacity: float) -> None:
    """It is below what the queue carries in the long run, by no more than it takes to show a p99 with confidence."""
    result = Search(queue(capacity), OBJECTIVE, QUICK).run()

    assert result.rate is not None
    assert 0.8 <= result.rate / _highest_rate(capacity) <= 1.02


def test_answers_with_confirmed_rates_only() -> None:
    """The last probes are the confirmations at the answer, with seeds that were not used before."""
    seeds: list[int] = []
    hundred = queue(100)

    def probe(rate: float, seconds: float, seed: int) -> Run:
        seeds.append(seed)
        return hundred(rate, seconds, seed)

    result = Search(probe, OBJECTIVE, QUICK).run()

    last = result.probed[-3:]
    assert [(item.rate, item.decision, item.purpose) for item in last] == [
        (result.rate, Decision.MET, "confirm") for _ in range(3)
    ]
    assert len(set(seeds)) == len(seeds)
    below = [item.rate / last[0].rate for item in result.probed if item.met]
    assert any(0.62 <= share <= 0.78 for share in below)
    assert any(0.78 <= share <= 0.92 for share in below)


def test_a_server_that_never_meets_the_objective_has_no_rate() -> None:
    """It halves down to the lowest rate that can be shown, and stops."""

    def too_slow(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + 0.2, seconds, rate)

    result = Search(too_slow, OBJECTIVE, QUICK).run()

    assert result.rate is None
    assert result.probed[0].rate == 20
    assert result.missed_rate is not None
    assert 459 / 120 < result.missed_rate < 1.16 * 459 / 120
    assert all(item.decision is Decision.MISSED for item in result.probed)


@pytest.mark.parametrize("seed", range(20))
def test_the_lowest_rate_is_no_matter_of_luck(seed: int) -> None:
    """A server that answers in time at the lowest rate that can be shown, and not beyond it, carries that rate."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + (0.01 if rate < 5 else 0.2), seconds, rate)

    result = Search(probe, OBJECTIVE, replace(QUICK, seed=100 * seed)).run()

    assert result.rate is not None
    assert 4.4 < result.rate < 5


def test_a_lowest_rate_that_too_few_requests_tell_blames_nobody() -> None:
    """One late request in hundreds misses no p99, and with so few it shows none; with too many late it is missed."""

    def late(rate: float, seconds: float, seed: int, every: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        slow = (rate > 4.5) | (np.arange(len(due)) % every == 0)
        return run_of(due, due + np.where(slow, 0.2, 0.01), seconds, rate)

    one, some = (Search(lambda *args, every=every: late(*args, every), OBJECTIVE, QUICK).run() for every in (1000, 60))

    assert one.rate is None
    assert one.open_end is one.probed[-1]
    assert (one.probed[-1].misses, one.missed_rate) == (1, one.probed[-1].rate)
    assert some.rate is None
    assert some.open_end is None
    assert some.probed[-1].decision is Decision.MISSED


def test_nothing_is_searched_below_the_rate_that_a_deployment_has_to_carry() -> None:
    """It is probed itself, and when it misses there is no answer."""
    result = Search(queue(100), OBJECTIVE, SearchSettings(first_rate=300, lowest_rate=120)).run()

    assert result.rate is None
    assert [item.rate for item in result.probed] == [300, 150, 120]


def test_a_rate_below_the_answer_that_misses_lowers_the_answer() -> None:
    """A server with a weakness between 35 and 45 requests a second is not said to carry 80."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        slow = rate > 80 or 60 < rate < 72
        return run_of(due, due + (0.2 if slow else 0.01), seconds, rate)

    result = Search(probe, OBJECTIVE, QUICK).run()

    assert result.rate is not None
    assert result.rate <= 60
    assert any(item.purpose == "guard" and item.decision is Decision.MISSED for item in result.probed)


def test_a_confirmation_that_misses_lowers_the_answer() -> None:
    """A rate that was met once by luck is not the answer."""
    asked: list[float] = []

    def lucky_at_first(rate: float, seconds: float, seed: int) -> Run:
        asked.append(rate)
        due = schedule.poisson(rate, seconds, seed)
        slow = rate > 50 or (rate > 45 and asked.count(rate) > 1)
        return run_of(due, due + (0.2 if slow else 0.01), seconds, rate)

    result = Search(lucky_at_first, OBJECTIVE, QUICK).run()

    assert result.rate is not None
    assert 35 < result.rate <= 45


def test_requests_that_were_dropped_are_misses_of_the_server() -> None:
    """A server so slow that the generator's bound on requests in flight was reached has missed; nobody else has."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        run = run_of(due, due + 0.01, seconds, rate)
        if rate > 50:
            half = slice(None, None, 2)
            run.trace.outcome[half], run.trace.done[half] = OUTCOME[DROPPED], np.nan
        return run

    rate = Search(probe, OBJECTIVE, QUICK).run().rate
    assert rate is not None
    assert 47 < rate <= 50


def test_a_client_at_its_limit_bounds_the_answer_from_above() -> None:
    """Where the client cannot go on, the answer is the highest rate below that it could measure: at least so much."""
    tries: list[float] = []

    def late_above_190(rate: float, seconds: float, seed: int) -> Run:
        tries.append(rate)
        run = queue(1000)(rate, seconds, seed)
        lag = 0.00507 if rate > 190 else 0.001
        return replace(run, trace=replace(run.trace, sent=run.trace.due + lag, done=run.trace.done + lag))

    result = Search(late_above_190, OBJECTIVE, SearchSettings(first_rate=40)).run()

    assert result.rate is not None
    assert 180 < result.rate <= 190
    assert [(item.rate, item.purpose) for item in result.probed[-3:]] == [(result.rate, "confirm")] * 3
    assert result.missed_rate is None
    assert result.client_limit is not None
    assert 190 < result.client_limit.rate < 1.05 * result.rate * (1 + 1e-9)
    assert result.client_limit.client_limit == "99 % of the requests left at most 5.07 ms late; at most 5.00 ms"
    assert tries.count(320) == 3


def test_a_miss_below_the_client_s_limit_is_the_server_s() -> None:
    """The client's limit is forgotten where the server turns out to carry less."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + (0.01 if rate <= 50 else 0.2), seconds, rate, cpu=0.95 if rate > 70 else 0.2)

    result = Search(probe, OBJECTIVE, QUICK).run()

    assert result.rate is not None
    assert 47 < result.rate <= 50
    assert result.client_limit is None
    assert result.missed_rate is not None
    assert result.missed_rate < 70


def test_a_client_that_can_measure_nothing_gives_no_answer() -> None:
    """What a client without CPU time to spare measured is tried again, and never taken for an answer."""

    def busy(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + 0.01, seconds, rate, cpu=0.95)

    result = Search(busy, OBJECTIVE, QUICK).run()

    assert result.rate is None
    assert result.client_limit is not None
    assert result.client_limit.client_limit.startswith("the client used 95%")
    assert not any(item.met for item in result.probed)


def test_nothing_is_sent_beyond_what_the_client_reports_on() -> None:
    """A rate that the client is known not to reach is its limit without a try."""
    tries: list[float] = []

    def probe(rate: float, seconds: float, seed: int) -> Run:
        tries.append(rate)
        return queue(10_000)(rate, seconds, seed)

    result = Search(probe, OBJECTIVE, SearchSettings(first_rate=20, most_rate=100)).run()

    assert max(tries) <= 100
    assert result.rate is not None
    assert 95 < result.rate <= 100
    assert result.client_limit is not None
    assert "it reports on at most 100/s" in result.client_limit.client_limit


@pytest.mark.parametrize("failing_run", [7, 8, 9])
def test_the_lowest_rate_is_not_tried_until_chance_confirms_it(failing_run: int) -> None:
    """Where one of its confirmations misses, there is no answer."""
    seeds: list[int] = []

    def misses_once(rate: float, seconds: float, seed: int) -> Run:
        seeds.append(seed)
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + (0.2 if rate > 20 or len(seeds) == failing_run else 0.01), seconds, rate)

    result = Search(misses_once, OBJECTIVE, replace(QUICK, lowest_rate=20)).run()

    assert result.rate is None
    assert (result.probed[-1].purpose, result.probed[-1].met) == ("confirm", False)
    assert len(seeds) == failing_run


def test_a_server_that_misses_without_the_client_s_lag_has_missed() -> None:
    """A client that an overloaded machine delays by some milliseconds has still seen answers that take a second."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        lag, service = (0.02, 1.0) if rate > 50 else (0.0, 0.01)
        run = run_of(due, due + lag + service, seconds, rate)
        return replace(run, trace=replace(run.trace, sent=due + lag))

    rate = Search(probe, OBJECTIVE, QUICK).run().rate
    assert rate is not None
    assert 47 < rate <= 50


@settings(max_examples=20)
@given(edge=st.floats(10, 5000), first=st.floats(10, 500), resolution=st.floats(1.02, 1.3))
def test_a_hard_edge_is_found_within_the_resolution(edge: float, first: float, resolution: float) -> None:
    """Wherever a server's limit is and wherever the search begins, the answer is the limit, to the resolution."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.constant(rate, min(seconds, 1000 / rate), seed)
        return run_of(due, due + (0.01 if rate <= edge else 1.0), seconds, rate)

    result = Search(probe, OBJECTIVE, SearchSettings(first_rate=first, resolution=resolution)).run()

    assert result.rate is not None
    assert result.missed_rate is not None
    assert edge / resolution <= result.rate <= edge < result.missed_rate
