from __future__ import annotations

from collections import Counter

import pytest

from server.live.past import Past
from server.live.reading import Activity, ModelReading, asked_for
from tests.server.live.situations import counts, model


def second(*models: ModelReading, **answers: int) -> Activity:
    """A second in which each of `models` answered so."""
    done = [(each, counts(**answers)) for each in models]
    return Activity(1, done, asked_for((*each, counts()) for each in done), Counter(), 0, 0)


def test_what_is_usual_is_what_was_before_lately() -> None:
    """A model that has just become slow is compared with what it took then; half a minute must have passed."""
    past, net, idle = Past(100), model("net"), model("idle")
    for _ in range(30):
        past.add(second(net, fast=1), 0)
    assert past.usual_compute_seconds() == {}
    for _ in range(30):
        past.add(second(net, slow=1), 0)
    assert past.usual_compute_seconds() == {net.statistics: pytest.approx(0.008)}
    assert idle.statistics not in past.usual_compute_seconds()


def test_the_past_ends_where_models_come_or_go() -> None:
    """What was measured with other models is no measure for these."""
    past, net = Past(3), model("net")
    for megabytes in (100, 101, 102, 103):
        past.add(second(net), megabytes)
    assert past.resident_bytes == [101, 102, 103]
    past.add(second(net, model("other")), 150)
    assert past.resident_bytes == [150]
