"""The generator against servers whose percentiles are known: what it reports must be what theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from loadtest.calibration import null_server
from loadtest.schedule import Schedule, constant, poisson
from loadtest.sender import SenderSettings
from loadtest.senders import Senders, Sent
from loadtest.service_model import ServiceModel, service_times
from loadtest.target import INFER
from loadtest.workload import Message

MESSAGES = (Message(bytes(1000), INFER), Message(bytes(2000), INFER))
# The machine that tests run on is busy: what it adds is bounded by this and not by what is to be shown.
NOISE_SECONDS = 0.1


def send(url: str, due: Schedule, **settings: int) -> Sent:
    """Offer load with one sender."""
    with Senders(SenderSettings(url, MESSAGES, **settings)) as senders:
        return senders.open_loop(due, lambda _rows, _elapsed: True)


@pytest.mark.parametrize("kind", ["constant", "exponential"])
def test_percentiles_of_a_queue_are_those_of_theory(kind: str) -> None:
    """M/D/1 and M/M/1 at 70 % load: every percentile is that of the queue with the same arrivals and service times.

    That queue itself is held against the closed forms in test_service_model.py; here the arrivals are few, and their
    own percentiles differ from those of infinitely many.
    """
    mean = 0.05
    due = poisson(0.7 / mean, 8, seed=5)
    with null_server("--service", f"{kind}:{mean}s", "--seed", "3") as url:
        trace = send(url, due).trace
    model = ServiceModel(service_times(kind, mean, seed=3))
    theory = np.array([model.arrive(float(instant)) for instant in due]) - due

    assert trace.ok.all()
    assert np.quantile(theory, 0.9) > 2 * mean
    for q in (0.5, 0.9, 0.95, 0.99):
        found = np.quantile(trace.response_seconds, q)
        assert np.quantile(theory, q) - 0.01 <= found <= np.quantile(theory, q) + NOISE_SECONDS


def test_a_stall_is_as_many_slow_requests_as_were_due_meanwhile() -> None:
    """A second in which nothing is answered makes a hundred requests slow, evenly from one second down to none.

    A client that waits for each answer would report one slow request of hundreds.
    """
    with null_server("--stall", "1s@1s") as url:
        trace = send(url, constant(100, 3)).trace

    late = np.sort(trace.response_seconds[trace.response_seconds > NOISE_SECONDS])
    assert len(late) == pytest.approx((1 - NOISE_SECONDS) * 100, abs=12)
    assert np.quantile(trace.response_seconds, 0.995) == pytest.approx(1, abs=NOISE_SECONDS)
    assert np.median(late) == pytest.approx((1 + NOISE_SECONDS) / 2, abs=0.1)


def test_what_a_full_server_refuses_is_recorded_by_its_code() -> None:
    """A burst that finds two places gets two answers, and the rest is an outcome, not the end of the run."""
    with null_server("--service", "constant:300ms", "--capacity", "2") as url:
        trace = send(url, np.zeros(10)).trace

    assert trace.outcome_counts() == {"OK": 2, "RESOURCE_EXHAUSTED": 8}
    assert np.isinf(trace.response_seconds).sum() == 8


def test_beyond_the_most_in_flight_requests_are_dropped() -> None:
    """A server that answers nothing costs the client no more than its limit; the rest counts as dropped."""
    with null_server("--service", "constant:30s", "--servers", "100") as url:
        trace = send(url, constant(100, 0.3), deadline_seconds=0.5, most_in_flight=5).trace

    assert trace.outcome_counts() == {"DEADLINE_EXCEEDED": 5, "DROPPED": 25}
    assert np.isnan(trace.sent).sum() == 25


def test_several_processes_share_the_schedule() -> None:
    """Each request of the schedule is sent once, whoever sends it, and messages take turns."""
    due = constant(100, 1)
    with null_server() as url, Senders(SenderSettings(url, MESSAGES), processes=2) as senders:
        sent = senders.open_loop(due, lambda _rows, _elapsed: True)

    np.testing.assert_array_equal(sent.trace.due, due)
    np.testing.assert_array_equal(sent.trace.message, np.arange(100) % 2)
    assert sent.trace.ok.all()
    assert not sent.stopped


def test_callers_of_a_closed_loop_wait_for_their_answers() -> None:
    """Three callers of a server that takes a tenth of a second send thirty requests in a second, and never a fourth."""
    slow = null_server("--service", "constant:100ms", "--servers", "8")
    with slow as url, Senders(SenderSettings(url, MESSAGES)) as senders:
        trace = senders.closed_loop(3, 1.0, lambda _rows, _elapsed: True).trace

    assert 3 <= len(trace) <= 30
    in_flight = [int(((trace.sent < instant) & (trace.done > instant)).sum()) for instant in trace.sent]
    assert max(in_flight) <= 2  # beside the one that is just leaving
    np.testing.assert_array_equal(trace.due <= trace.sent, [True] * len(trace))


def test_a_run_that_is_stopped_keeps_what_was_sent() -> None:
    """Whoever stops a run gets the requests that were due by then, and nothing is made up about the others."""
    with null_server() as url, Senders(SenderSettings(url, MESSAGES)) as senders:
        sent = senders.open_loop(constant(50, 600), lambda rows, _elapsed: np.isnan(rows["done"][20]))
        again = senders.open_loop(constant(50, 0.2), lambda _rows, _elapsed: True)

    assert sent.stopped
    assert 20 < len(sent.trace) < 15_000
    assert sent.trace.ok.all()
    assert len(again.trace) == 10
    assert not again.stopped
