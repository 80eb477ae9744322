from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from server.errors import DeadlineUnreachable, InvalidRequest, QueueFull
from tests.server.workshop import answer, failure

if TYPE_CHECKING:
    from tests.server.conftest import OpenBench


def test_the_queue_is_bounded(open_bench: OpenBench) -> None:
    """As many requests wait as the capacity says, those that run not counted; the next is refused."""
    bench = open_bench(queue_capacity=2)
    bench.occupy()
    futures = [bench.submit("a"), bench.submit("b", rows=8)]
    with pytest.raises(QueueFull, match=r"^Exceeds maximum queue size$"):
        bench.submit("c")
    bench.workshop.run_alone()
    assert [answer(future) for future in futures] == ["a!", "b!"]


def test_leaving_frees_the_place_at_once(open_bench: OpenBench) -> None:
    """A caller that cancels makes room for another even while every instance is busy, and is never executed."""
    bench = open_bench(queue_capacity=2)
    [busy] = bench.occupy()
    leaving, staying = bench.submit("leaving"), bench.submit("staying")
    assert leaving.cancel()
    assert bench.batcher.waiting == 1
    bench.submit("next")
    busy.finish()
    assert bench.next_run().payloads == ["staying", "next"]
    assert not staying.done()


def test_rows_that_left_are_not_shared_out(open_bench: OpenBench) -> None:
    """The shares of idle instances count only the rows that still wait."""
    bench = open_bench(instances=2)
    with bench.at_once():
        leaving = [bench.submit("leaving", rows=3), bench.submit("leaving", rows=3)]
        bench.submit("a")
        bench.submit("b")
        assert all([future.cancel() for future in leaving])  # noqa: C419 - every one of them is to leave
    assert sorted([bench.next_run().payloads, bench.next_run().payloads]) == [["a"], ["b"]]


def test_what_runs_cannot_be_cancelled(open_bench: OpenBench) -> None:
    """A request that an instance has taken is finished, whether or not its caller stays."""
    bench = open_bench()
    future = bench.submit("a")
    run = bench.next_run()
    assert not future.cancel()
    run.finish()
    assert answer(future) == "a!"


def test_a_request_is_not_kept_in_memory_after_its_answer(open_bench: OpenBench) -> None:
    """Payload and result are freed with their last reference: no cycle holds megabytes until the collector comes."""
    bench = open_bench()
    gc.disable()
    try:
        payload = _Payload("large")
        future = bench.submit(payload)
        traces = [weakref.ref(payload), weakref.ref(future)]
        bench.workshop.run_alone()
        assert answer(future) == "large!"
        bench.batcher.close()  # so that no thread's frame holds the batch any more
        bench.workshop.forget()
        del payload, future
        assert [trace() for trace in traces] == [None, None]
    finally:
        gc.enable()


def test_a_request_that_failed_alone_is_not_kept_in_memory(open_bench: OpenBench) -> None:
    """Neither its error nor the traceback holds its payload."""
    bench = open_bench()
    gc.disable()
    try:
        payload = _Payload("large")
        [busy] = bench.occupy()
        future, other = bench.submit(payload), bench.submit("b")
        busy.finish()
        bench.next_run().fail(InvalidRequest("both"))
        bench.next_run().fail(InvalidRequest("alone"))
        bench.workshop.run_alone()
        assert answer(other) == "b!"
        assert isinstance(failure(future), InvalidRequest)
        trace = weakref.ref(payload)
        bench.batcher.close()
        bench.workshop.forget()
        del payload, busy
        assert trace() is None
    finally:
        gc.enable()


class _Payload(str):
    """A string that can be watched."""

    __slots__ = ("__weakref__",)


def test_a_deadline_that_has_passed_is_refused(open_bench: OpenBench) -> None:
    """Nothing is queued for a caller who has given up already, even if an instance is idle."""
    bench = open_bench()
    for late in (0, -1):
        with pytest.raises(DeadlineUnreachable, match=r"^the deadline has passed$"):
            bench.submit("a", within=late)
    assert bench.batcher.waiting == 0


def test_an_idle_instance_always_tries(open_bench: OpenBench) -> None:
    """Estimates refuse nobody while an instance has nothing to do, so that wrong ones can recover."""
    bench = open_bench(instances=2, seconds=lambda _rows: 64.0)
    bench.occupy()
    future = bench.submit("a", within=1)
    bench.next_run().finish()
    assert answer(future) == "a!"


def test_idle_instances_are_not_counted_twice(open_bench: OpenBench) -> None:
    """An idle instance that another request is about to take is no reason to admit a second one."""
    bench = open_bench(seconds=lambda _rows: 64.0)
    with bench.at_once():
        bench.submit("a", within=65)
        with pytest.raises(DeadlineUnreachable):
            bench.submit("b", within=65)


@pytest.mark.parametrize(
    ("instances", "elapsed", "queued", "expected"),
    [
        (1, 0, 0, 16 + 16),  # the running batch and the own one
        (1, 12, 0, 4 + 16),
        (1, 99, 0, 0 + 16),  # a batch that takes longer than expected is about to end
        (2, 0, 0, 16 + 16),
        (1, 0, 8, 16 + 16 + 16),  # and a full batch before the own one
        (2, 0, 8, 16 + 8 + 16),  # half of which each instance does
        (1, 0, 2, 16 + 4 + 16),
    ],
)
def test_what_cannot_be_done_in_time_is_refused_at_the_door(
    open_bench: OpenBench, instances: int, elapsed: float, queued: int, expected: float
) -> None:
    """A deadline is met by the estimate - what runs, what waits, and the request itself - or the request is refused."""
    bench = open_bench(instances, seconds=lambda _rows: 16.0)
    bench.occupy(instances)
    bench.clock.advance(elapsed)
    if queued:
        bench.submit("queued", rows=queued)
    with pytest.raises(DeadlineUnreachable, match=r"the deadline is .* ms away, but with . requests waiting"):
        bench.submit("late", within=expected - 0.25)
    bench.submit("in time", within=expected)
    assert bench.batcher.waiting == 1 + bool(queued)


def test_estimates_follow_what_executions_take(open_bench: OpenBench) -> None:
    """When the machine becomes slower than it was at warm-up, deadlines that could be met then are refused."""
    bench = open_bench()
    [run] = bench.occupy()
    bench.submit("a", within=4)
    bench.workshop.seconds = lambda _rows: 16.0
    for _ in range(100):
        run.finish()
        run = bench.next_run()
        bench.submit("next")
    with pytest.raises(DeadlineUnreachable):
        bench.submit("late", within=4)


def test_what_expired_while_it_waited_is_not_executed(open_bench: OpenBench) -> None:
    """A request that was admitted but is late when its turn comes is told so and costs nothing."""
    bench = open_bench()
    [busy] = bench.occupy()
    late, last = bench.submit("late", within=3), bench.submit("last", within=4)
    patient = bench.submit("patient")
    bench.clock.advance(3)
    busy.finish()
    run = bench.next_run()
    assert run.payloads == ["last", "patient"]
    error = failure(late)
    assert isinstance(error, DeadlineUnreachable)
    assert str(error) == "the deadline passed while the request waited"
    run.finish()
    assert [answer(last), answer(patient)] == ["last!", "patient!"]


def test_when_all_have_expired_the_instance_waits_for_the_next(open_bench: OpenBench) -> None:
    """A queue of nothing but late requests is emptied, and the next request runs."""
    bench = open_bench()
    [busy] = bench.occupy()
    late = [bench.submit("late", within=3) for _ in range(3)]
    bench.clock.advance(8)
    busy.finish()
    assert all(isinstance(failure(future), DeadlineUnreachable) for future in late)
    bench.submit("a")
    assert bench.next_run().payloads == ["a"]


def _growing(rows: int) -> float:
    return 0.75 + rows / 4


def test_a_batch_stops_growing_where_a_deadline_would_be_missed(open_bench: OpenBench) -> None:
    """No request is made late by the company that it gets."""
    bench = open_bench(seconds=_growing)
    [busy] = bench.occupy()
    bench.submit("urgent", within=8)
    for payload in "abc":
        bench.submit(payload)
    bench.clock.advance(8 - _growing(2))
    busy.finish()
    assert bench.next_run().payloads == ["urgent", "a"]


def test_a_deadline_that_joins_limits_the_batch_too(open_bench: OpenBench) -> None:
    """A request is not taken into a batch in which it would be late but for its turn in the next one."""
    bench = open_bench(seconds=_growing)
    [busy] = bench.occupy()
    for payload in "abc":
        bench.submit(payload)
    bench.submit("urgent", within=8)
    bench.clock.advance(8 - _growing(3))
    busy.finish()
    assert bench.next_run().payloads == ["a", "b", "c"]


def test_a_deadline_that_is_lost_anyway_limits_no_batch(open_bench: OpenBench) -> None:
    """Where not even a single row would be in time the others do not pay for it."""
    bench = open_bench(seconds=_growing)
    [busy] = bench.occupy()
    bench.submit("hopeless", within=8)
    bench.submit("a")
    bench.clock.advance(7.5)
    busy.finish()
    assert bench.next_run().payloads == ["hopeless", "a"]
