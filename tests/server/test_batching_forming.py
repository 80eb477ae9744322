from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.workshop import HANGING_SECONDS, answer

if TYPE_CHECKING:
    from tests.server.conftest import OpenBench

_HOUR = 4096.0


def _cheapest_is_four(rows: int) -> float:
    return float(rows) if rows > 4 else 0.5 + rows / 4


@pytest.mark.parametrize("window", [0.0, _HOUR])
def test_a_lone_request_never_waits(open_bench: OpenBench, window: float) -> None:
    """A request that finds everything idle runs at once and alone, whatever the queue delay."""
    bench = open_bench(instances=3, max_queue_delay_seconds=window)
    future = bench.submit("a")
    run = bench.next_run()
    assert run.payloads == ["a"]
    run.finish()
    assert answer(future) == "a!"


def test_a_batch_grows_until_an_instance_is_free(open_bench: OpenBench) -> None:
    """What arrives while the instance is busy forms one batch, in the order of arrival."""
    bench = open_bench()
    [busy] = bench.occupy()
    futures = [bench.submit(payload) for payload in "abc"]
    busy.finish()
    run = bench.next_run()
    assert run.payloads == ["a", "b", "c"]
    run.finish()
    assert [answer(future) for future in futures] == ["a!", "b!", "c!"]


def test_a_reply_tells_of_its_batch(open_bench: OpenBench) -> None:
    """Each request of a batch gets its own result and arrival, and the size and times of the whole batch."""
    bench = open_bench()
    [busy] = bench.occupy()
    first = bench.submit("a", rows=2)
    bench.clock.advance(4)
    second = bench.submit("b", rows=3)
    busy.finish()
    bench.next_run().finish()
    replies = [first.result(), second.result()]
    assert [(reply.result, reply.batch_rows) for reply in replies] == [("a!", 5), ("b!", 5)]
    assert replies[1].arrived_ns - replies[0].arrived_ns == 4_000_000_000
    assert replies[0].execution is replies[1].execution
    assert bench.observed == [1, 5]


@pytest.mark.parametrize(
    ("requests", "instances", "sizes"), [(4, 2, [2, 2]), (5, 2, [3, 2]), (4, 3, [2, 1, 1]), (3, 4, [1, 1, 1])]
)
def test_a_backlog_is_spread_over_the_idle_instances(
    open_bench: OpenBench, requests: int, instances: int, sizes: list[int]
) -> None:
    """Idle instances share what waits instead of one of them taking it all."""
    bench = open_bench(instances)
    with bench.at_once():
        for number in range(requests):
            bench.submit(str(number))
    runs = [bench.next_run() for _ in sizes]
    assert sorted((len(run.payloads) for run in runs), reverse=True) == sizes


def test_busy_instances_get_no_share(open_bench: OpenBench) -> None:
    """The only instance that is free takes all that waits."""
    bench = open_bench(instances=2)
    first, _ = bench.occupy(2)
    for payload in "abcd":
        bench.submit(payload)
    first.finish()
    assert bench.next_run().payloads == ["a", "b", "c", "d"]


def test_batches_are_no_larger_than_is_cheapest(open_bench: OpenBench) -> None:
    """A long queue is worked off in batches of the size that costs least per row, not of the largest."""
    bench = open_bench(seconds=_cheapest_is_four)
    [run] = bench.occupy()
    for number in range(10):
        bench.submit(str(number))
    sizes = []
    for _ in range(3):
        run.finish()
        run = bench.next_run()
        sizes.append(len(run.payloads))
    assert sizes == [4, 4, 2]


def test_a_request_larger_than_the_cheapest_batch_runs_alone(open_bench: OpenBench) -> None:
    """A request of many rows is never split and never refused for its size."""
    bench = open_bench(seconds=_cheapest_is_four)
    [busy] = bench.occupy()
    bench.submit("large", rows=8)
    bench.submit("small")
    busy.finish()
    run = bench.next_run()
    assert run.rows == [8]
    run.finish()
    assert bench.next_run().payloads == ["small"]


def test_a_misfit_stays_at_the_front(open_bench: OpenBench) -> None:
    """A request that does not fit into the batch is first in the next one: smaller ones do not overtake it."""
    bench = open_bench(max_rows=4)
    [busy] = bench.occupy()
    for payload in "abc":
        bench.submit(payload, rows=1 if payload == "c" else 3)
    busy.finish()
    run = bench.next_run()
    assert run.payloads == ["a"]
    run.finish()
    assert bench.next_run().payloads == ["b", "c"]


def test_without_merging_each_request_runs_alone(open_bench: OpenBench) -> None:
    """Where the configuration does not ask for dynamic batching nothing is merged, in whatever sizes."""
    bench = open_bench(merge=False)
    [run] = bench.occupy()
    bench.submit("a", rows=8)
    bench.submit("b")
    bench.submit("c")
    for expected in "abc":
        run.finish()
        run = bench.next_run()
        assert run.payloads == [expected]


def test_the_window_begins_with_the_oldest_arrival(open_bench: OpenBench) -> None:
    """With company to wait for, an idle instance waits for the queue delay from the oldest arrival, not the last."""
    bench = open_bench(instances=2, max_queue_delay_seconds=_HOUR)
    bench.occupy()
    bench.submit("a")
    bench.clock.advance(_HOUR - 1)
    bench.submit("b")
    bench.clock.advance(1)
    bench.submit("c")  # which wakes whoever waits
    assert bench.next_run().payloads == ["a", "b", "c"]


def test_the_window_ends_in_time_for_the_deadline(open_bench: OpenBench) -> None:
    """Nobody waits for company for so long that the oldest request would be late."""
    bench = open_bench(instances=2, max_queue_delay_seconds=_HOUR, seconds=lambda _rows: 2.0)
    bench.occupy()
    bench.submit("a", within=10)
    bench.clock.advance(8)
    bench.submit("b")
    assert bench.next_run().payloads == ["a", "b"]


def test_a_full_batch_does_not_wait(open_bench: OpenBench) -> None:
    """The window ends when as many rows wait as are worth waiting for."""
    bench = open_bench(instances=2, max_queue_delay_seconds=_HOUR, seconds=_cheapest_is_four)
    bench.occupy()
    for payload in "abcd":
        bench.submit(payload)
    assert bench.next_run().payloads == ["a", "b", "c", "d"]


def test_a_window_longer_than_any_thread_can_wait_is_no_error(open_bench: OpenBench) -> None:
    """The largest queue delay that a config.pbtxt can hold waits for a full batch, and kills no instance."""
    bench = open_bench(instances=2, max_rows=2, max_queue_delay_seconds=(2**64 - 1) / 1e6)
    bench.occupy()
    bench.submit("a")
    bench.submit("b")
    assert bench.next_run().payloads == ["a", "b"]


def test_a_request_whose_company_leaves_does_not_wait(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that was opened for two ends when one of them is left and nothing runs."""
    bench = open_bench(max_queue_delay_seconds=_HOUR)
    windows = bench.watch_windows(monkeypatch)
    with bench.at_once():
        bench.submit("a")
        leaving = bench.submit("b")
    assert windows.get(timeout=HANGING_SECONDS) == _HOUR
    assert leaving.cancel()
    assert bench.next_run().payloads == ["a"]


def test_what_runs_and_what_waits_can_be_seen(open_bench: OpenBench) -> None:
    """The gauges tell of busy instances and of requests that nobody has taken."""
    bench = open_bench(instances=2)
    assert (bench.batcher.busy, bench.batcher.waiting, bench.batcher.alive) == (0, 0, True)
    bench.occupy(2)
    bench.submit("a", rows=4)
    bench.submit("b")
    assert (bench.batcher.busy, bench.batcher.waiting) == (2, 2)
    bench.workshop.run_alone()
    bench.batcher.close()
    assert (bench.batcher.busy, bench.batcher.waiting, bench.batcher.alive) == (0, 0, False)
