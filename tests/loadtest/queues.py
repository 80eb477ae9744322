"""Servers whose answer times queueing theory gives: what a search sends is the product's, the server is algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadtest import schedule
from loadtest.objective import Objective
from loadtest.run import Conditions, Run
from loadtest.search_settings import SearchSettings
from loadtest.trace import OUTCOME, Trace

if TYPE_CHECKING:
    from loadtest.probing import Probe

OBJECTIVE = Objective(0.1)
QUICK = SearchSettings(first_rate=20)


def _waits(due: np.ndarray, service: float) -> np.ndarray:
    """How long each arrival waits before the one server, in order (Lindley's recursion), in seconds."""
    waits = np.zeros(len(due))
    for number in range(1, len(due)):
        waits[number] = max(0.0, waits[number - 1] + service - (due[number] - due[number - 1]))
    return waits


def run_of(due: np.ndarray, done: np.ndarray, seconds: float, rate: float, cpu: float = 0.1) -> Run:
    """What a generator would tell of requests that were due and done at these instants, in seconds."""
    count = len(due)
    trace = Trace(due, due, done, np.zeros(count, np.int32), np.full(count, OUTCOME["OK"], np.uint8))
    return Run("", trace, seconds, Conditions(cpu), rate)


def queue(capacity: float) -> Probe:
    """Probes of a server that takes 1/`capacity` seconds for each request, one after another (M/D/1)."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        due = schedule.poisson(rate, seconds, seed)
        return run_of(due, due + _waits(due, 1 / capacity) + 1 / capacity, seconds, rate)

    return probe
