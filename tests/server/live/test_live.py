from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from server.live.counts import Counts
from server.live.host import HostReading
from server.live.live import HISTORY_SECONDS, Live
from server.live.reading import ModelReading, Reading
from server.live.situation import Phase
from server.model_states import IndexEntry, State
from server.slow_requests import SlowRequests
from server.statistics import ModelStatistics
from tests.server.live.situations import counts
from tests.server.models import open_repository

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

STATISTICS = ModelStatistics()  # whose identity is the model's
ABOUT = {"version": "1.2.3", "objective": 0.1, "cores": 2}
INDEX = [IndexEntry("net", 1, State.READY, ""), IndexEntry("other", 2, State.UNAVAILABLE, "no archive")]


def reading(at: float, answered: int = 0, refused: int = 0) -> Reading:
    """A server at second `at` that has answered and refused so many, with all processors half busy."""
    net = ModelReading(
        "net", 1, STATISTICS, counts(fast=answered), Counts(), waiting=3, capacity=64, busy=1, instances=2
    )
    host = HostReading(at, at, 2 * at, 400 << 20, 1 << 30)
    return Reading([net], Counter({"queue_full": refused}), host, at=at)


def live(directory: Path) -> Live:
    """The numbers of a server that serves."""
    return Live(open_repository(directory), lambda: Phase.SERVING, {}, SlowRequests(), lambda: 0.0, ABOUT)


def document(live: Live, since: int = 0) -> Any:
    """What the page reads."""
    return json.loads(live.document(since))


def test_before_the_first_second_nothing_is_told(tmp_path: Path) -> None:
    """The page can be opened at once; one reading alone tells of no activity."""
    new = live(tmp_path)
    new.add(reading(0), INDEX)
    assert (document(new)["now"], document(new)["points"]) == (None, [])
    assert document(new)["about"].items() >= ABOUT.items()


def test_points_are_of_one_second_and_figures_of_ten(tmp_path: Path) -> None:
    """Rates of a point are those of its second; the summary is of the last ten."""
    new = live(tmp_path)
    for second in range(21):
        new.add(reading(second, answered=10 * second + (100 if second == 20 else 0), refused=second), INDEX)
    told = document(new)
    assert [point["rates"][0] for point in told["points"]] == [10] * 19 + [110]
    assert told["points"][-1]["reasons"] == {"queue_full": 1}
    assert told["points"][-1]["queue"] == [3, 64]
    assert told["points"][-1]["processors"] == [1, 0.5]
    assert told["now"]["summary"]["rate"] == 21
    assert told["now"]["summary"]["outcomes"] == {"ok": 200, "rejected": 10, "invalid": 0, "failed": 0, "cancelled": 0}
    assert told["now"]["succeeded"] == 300
    assert told["now"]["refused"] == {"queue_full": 20}


def test_each_version_of_the_index_has_a_row(tmp_path: Path) -> None:
    """A model that is ready comes with its numbers, one that is not with the reason."""
    new = live(tmp_path)
    for second in range(2):
        new.add(reading(second, answered=10 * second), INDEX)
    net, other = document(new)["now"]["models"]
    assert (net["name"], net["rate"], net["busy"], net["instances"], net["total"]) == ("net", 10, 1, 2, 10)
    assert (other["state"], other["reason"], "rate" in other) == ("UNAVAILABLE", "no archive", False)


def test_a_page_is_sent_what_it_does_not_know(tmp_path: Path) -> None:
    """Points have numbers; those up to the one that the page names are left out, and the oldest are forgotten."""
    new = live(tmp_path)
    for second in range(HISTORY_SECONDS + 11):
        new.add(reading(second), INDEX)
    numbers = [point["number"] for point in document(new)["points"]]
    assert numbers == list(range(11, HISTORY_SECONDS + 11))
    assert [point["number"] for point in document(new, since=308)["points"]] == [309, 310]
    assert document(new, since=310)["points"] == []


async def test_a_real_server_is_sampled(tmp_path: Path) -> None:
    """The task reads the repository and the machine until it is cancelled."""
    new = live(tmp_path)
    with ThreadPoolExecutor(1) as executor:
        sampling = asyncio.create_task(new.run(executor, interval_seconds=0.01))
        async with asyncio.timeout(30):
            while not (points := document(new)["points"]):  # noqa: ASYNC110 - as the page does
                await asyncio.sleep(0.01)
        sampling.cancel()
    assert points[0]["memory"][0] > 1 << 20
    assert document(new)["now"]["findings"][0]["title"] == "Ready, nobody is asking"


async def test_a_sample_that_fails_is_logged_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page goes on with the next one; the log has the reason once, however often it happens."""
    rounds = itertools.count()

    def take_lag() -> float:
        if next(rounds) < 3:
            raise ZeroDivisionError
        return 0.0

    new = Live(open_repository(tmp_path), lambda: Phase.SERVING, {}, SlowRequests(), take_lag, ABOUT)
    with ThreadPoolExecutor(1) as executor:
        sampling = asyncio.create_task(new.run(executor, interval_seconds=0.001))
        async with asyncio.timeout(30):
            while not document(new)["points"]:  # noqa: ASYNC110 - as the page does
                await asyncio.sleep(0.001)
        sampling.cancel()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["the live page misses a second"]
