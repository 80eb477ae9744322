from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from server.live.host import HostReading
from server.live.reading import ModelReading, Reading, between
from tests.server.live.situations import counts, model

BEFORE = HostReading(10, 100, 200, 0, 0)
AFTER = HostReading(13, 104, 208, 0, 0)


def readings(*pairs: tuple[ModelReading, ModelReading]) -> tuple[Reading, Reading]:
    """Models as they were and, two seconds later, as they are."""
    earlier, later = zip(*pairs, strict=True)
    refused = (Counter(invalid=1), Counter(invalid=4, deadline=1))
    return Reading(earlier, refused[0], BEFORE, at=50.0), Reading(later, refused[1], AFTER, at=52.0)


def test_what_has_happened_is_what_came_meanwhile() -> None:
    """Counters are subtracted and host figures are per second."""
    net = model("net", busy=1)
    before, after = replace(net, counts=counts(fast=5)), replace(net, counts=counts(fast=12, BACKEND=3))
    done = between(*readings((before, after)))
    [(reading, counted)] = done.models
    assert (reading.busy, counted.succeeded, dict(counted.failures)) == (1, 7, {"BACKEND": 3})
    assert done.outcomes == {"ok": 7, "rejected": 1, "invalid": 3, "failed": 0, "cancelled": 0}
    assert (done.seconds, done.process_cores, done.machine_share) == (2, 1.5, 0.5)


def test_a_model_that_was_unloaded_and_loaded_starts_anew() -> None:
    """Its new counters are not compared with those of before."""
    before, after = replace(model("net"), counts=counts(fast=500)), replace(model("net"), counts=counts(fast=3))
    assert between(*readings((before, after))).outcomes["ok"] == 3


def test_steps_of_an_ensemble_are_no_requests_of_callers() -> None:
    """Who asks an ensemble asks once, whatever that asks of others, and only these execute anything."""
    net, both = model("net"), model("both", instances=0)
    asked = counts(fast=9)
    steps = replace(asked, batches=Counter())
    now = (replace(net, counts=counts(fast=20), steps=steps), replace(both, counts=asked))
    done = between(*readings((net, now[0]), (both, now[1])))
    assert [counted.succeeded for _, counted in done.models] == [20, 9]
    assert done.asked.succeeded == 20
    assert done.asked.mean_stages() == pytest.approx({"decode": 0, "queue": 0, "compute": 0.008, "rest": 0})
    assert done.asked.batches.total() == 20
