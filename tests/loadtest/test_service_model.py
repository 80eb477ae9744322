from __future__ import annotations

import math

import numpy as np
import pytest

from loadtest.schedule import poisson
from loadtest.service_model import ServiceModel, Stall, service_times

SERVICE_SECONDS = 0.01
RATE = 70.0  # of the 100 a second that it can do


def response_seconds(model: ServiceModel, due: np.ndarray) -> np.ndarray:
    """How long the requests that are due at these instants take; infinite for one that is refused."""
    ends = [model.arrive(float(instant)) for instant in due]
    return np.array([np.inf if end is None else end for end in ends]) - due


def md1_waiting_cdf(seconds: float, rate: float, service: float) -> float:
    """P(W <= seconds) in M/D/1 (Erlang 1909; Tijms, A First Course in Stochastic Models, section 9.2)."""
    terms = [
        (rate * (j * service - seconds)) ** j / math.factorial(j) * math.exp(-rate * (j * service - seconds))
        for j in range(int(seconds / service) + 1)
    ]
    return (1 - rate * service) * math.fsum(terms)


def test_exponential_service_gives_the_percentiles_of_m_m_1() -> None:
    """Response times in M/M/1 are exponential with rate mu - lambda."""
    model = ServiceModel(service_times("exponential", SERVICE_SECONDS, seed=1))
    found = response_seconds(model, poisson(RATE, 6000, seed=2))

    for q in (0.5, 0.9, 0.99):
        theory = -math.log(1 - q) / (1 / SERVICE_SECONDS - RATE)
        assert np.quantile(found, q) == pytest.approx(theory, rel=0.05)


def test_constant_service_gives_the_percentiles_of_m_d_1() -> None:
    """Waiting times in M/D/1 have Erlang's distribution."""
    found = response_seconds(ServiceModel(service_times("constant", SERVICE_SECONDS)), poisson(RATE, 6000, seed=2))

    for q in (0.5, 0.9, 0.99):
        waiting = float(np.quantile(found, q)) - SERVICE_SECONDS
        assert md1_waiting_cdf(waiting, RATE, SERVICE_SECONDS) == pytest.approx(q, abs=0.1 * (1 - q))


def test_two_servers_serve_two_at_a_time() -> None:
    """Of three requests at once the third waits for the first to end."""
    model = ServiceModel(service_times("constant", 1.0), servers=2)

    assert [model.arrive(0.0) for _ in range(3)] == [1.0, 1.0, 2.0]


def test_work_stands_still_during_a_stall() -> None:
    """What is under way, what comes meanwhile and what waits all take as much longer as the stall lasts for them."""
    model = ServiceModel(service_times("constant", 1.0), servers=3, stalls=(Stall(10.5, 2.0),))

    assert [model.arrive(9.0), model.arrive(10.0), model.arrive(11.0), model.arrive(13.0)] == [10.0, 13.0, 13.5, 14.0]


def test_beyond_its_capacity_requests_are_refused() -> None:
    """Of three at once one finds no place in a queue for two, and the next one does when the first has ended."""
    model = ServiceModel(service_times("constant", 1.0), capacity=2)

    assert [model.arrive(0.0), model.arrive(0.0), model.arrive(0.0), model.arrive(1.0)] == [1.0, 2.0, None, 3.0]


def test_an_unknown_distribution_is_told() -> None:
    """Only what theory is known of can be asked for."""
    with pytest.raises(ValueError, match="constant or exponential"):
        service_times("normal", 1.0)
