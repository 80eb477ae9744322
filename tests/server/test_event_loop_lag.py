from __future__ import annotations

import asyncio
import time

from prometheus_client.parser import text_string_to_metric_families

from server.event_loop_lag import EventLoopLag
from server.metrics.exposition import TEXT

STALL_SECONDS = 0.6
PATIENCE_SECONDS = 60.0


def _samples(lag: EventLoopLag) -> dict[str, float]:
    [family] = text_string_to_metric_families(TEXT.write(lag.families()))
    assert family.name == "coordserve_event_loop_lag_seconds"
    return {sample.labels.get("le", sample.name.removeprefix(family.name)): sample.value for sample in family.samples}


async def test_a_stall_is_noted_for_each_instant_that_it_covers() -> None:
    """Whoever came while the loop stood still has waited: one long stall is several observations, the longest first."""
    lag = EventLoopLag()
    lag.start()
    end = time.monotonic() + PATIENCE_SECONDS
    while not _samples(lag)["_count"]:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    before = _samples(lag)
    time.sleep(STALL_SECONDS)  # noqa: ASYNC251 - that is what is to be noted
    while _samples(lag)["_count"] < before["_count"] + 5:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    await lag.stop()
    assert STALL_SECONDS / 2 < lag.take_worst() < PATIENCE_SECONDS
    assert lag.take_worst() == 0
    after = _samples(lag)
    late = {edge: (after["_count"] - after[edge]) - (before["_count"] - before[edge]) for edge in ("0.05", "0.2")}
    assert late["0.05"] >= 5
    assert late["0.2"] >= 3
    assert after["_sum"] - before["_sum"] > STALL_SECONDS


async def test_it_can_be_stopped_before_it_starts() -> None:
    """A server that cannot open its ports stops what it never started."""
    lag = EventLoopLag()
    await lag.stop()
    assert _samples(lag)["_count"] == 0
    assert lag.last_seconds == 0
