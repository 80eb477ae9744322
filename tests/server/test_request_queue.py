from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import DeadlineUnreachable, QueueFull
from server.request_queue import BatchingPolicy, Entry, RequestQueue

if TYPE_CHECKING:
    from collections.abc import Callable

Queue = RequestQueue[str, str]

_NOW = 1024.0


def _queue(
    instances: int = 1, max_rows: int = 8, cost: Callable[[int], float] = lambda _rows: 1.0, **policy: float
) -> Queue:
    queue = Queue(BatchingPolicy(max_rows, **policy), instances)  # type: ignore[arg-type] # the fields are told by name
    for rows in range(1, max_rows + 1):
        queue.cost.learn(rows, cost(rows))
    return queue


def _add(
    queue: Queue, payload: str = "a", rows: int = 1, *, deadline: float = math.inf, arrived: float = _NOW
) -> Entry[str, str]:
    entry = Entry[str, str](payload, rows, deadline, round(arrived * 1e9))
    queue.add(entry, arrived)
    return entry


def _take(queue: Queue, instance: str = "first", now: float = _NOW) -> list[str]:
    batch, expired = queue.take(instance, now)
    assert expired == []
    return [entry.payload for entry in batch]


def test_what_is_taken_is_claimed() -> None:
    """A request that an instance has taken cannot be cancelled any more, and its instance is busy until released."""
    queue = _queue()
    entry = _add(queue)
    assert (len(queue), queue.busy) == (1, 0)
    assert _take(queue) == ["a"]
    assert (len(queue), queue.busy) == (0, 1)
    assert not entry.future.cancel()
    assert not queue.discard(entry.future)
    queue.release("first", _NOW)
    queue.release("first", _NOW)  # a second time does no harm
    assert queue.busy == 0


def test_who_comes_while_a_batch_is_tried_again_is_told_how_long_that_takes() -> None:
    """Each row of the batch that failed takes an execution of its own: what cannot wait for all of them is refused."""
    queue = _queue(cost=lambda rows: 1.0 + rows / 8)
    for rows in (1, 1, 2):
        _add(queue, rows=rows)
    assert len(_take(queue)) == 3  # 1.5 seconds
    queue.prolong("first", [1, 1, 2], _NOW + 1.5)  # 1.125 + 1.125 + 1.25 seconds
    with pytest.raises(DeadlineUnreachable):
        queue.add(Entry("late", 1, _NOW + 6, 0), _NOW + 1.5)
    _add(queue, deadline=_NOW + 6.125, arrived=_NOW + 1.5)


def test_a_caller_that_left_is_passed_over() -> None:
    """A cancelled request that is still in its place is not executed, and the one behind it is."""
    queue = _queue()
    entry = _add(queue, "left")
    _add(queue, "b")
    entry.future.cancel()
    assert _take(queue) == ["b"]


def test_when_all_have_left_nobody_is_busy() -> None:
    """Taking nothing occupies no instance."""
    queue = _queue()
    _add(queue).future.cancel()
    late = _add(queue, deadline=_NOW + 2)
    batch, expired = queue.take("first", _NOW + 2)
    assert (batch, expired, len(queue), queue.busy) == ([], [late], 0, 0)


def test_a_place_can_be_given_up() -> None:
    """Discarding makes room, once."""
    queue = _queue(queue_capacity=1)
    entry = _add(queue)
    with pytest.raises(QueueFull):
        _add(queue)
    assert queue.discard(entry.future)
    assert not queue.discard(entry.future)
    _add(queue)


def test_all_places_can_be_given_up() -> None:
    """Clearing tells who waited, in their order, and leaves an empty queue."""
    queue = _queue()
    entries = [_add(queue, payload, rows=2) for payload in "ab"]
    assert queue.clear() == entries
    assert (len(queue), queue._waiting_rows) == (0, 0)
    _add(queue, "c")
    assert _take(queue) == ["c"]


def test_a_refused_request_has_no_place() -> None:
    """What is refused at the door changes nothing."""
    queue = _queue(cost=lambda _rows: 16.0)
    _add(queue)
    _take(queue)
    with pytest.raises(DeadlineUnreachable):
        _add(queue, deadline=_NOW + 8)
    assert len(queue) == 0
    queue.release("first", _NOW)
    _add(queue, "b", rows=8)
    assert _take(queue) == ["b"]


@pytest.mark.parametrize(
    ("waiting", "busy", "now", "expected"),
    [
        (1, False, 0.0, 0.0),  # alone
        (1, True, 0.0, 16.0),  # alone, but somebody runs and may be joined
        (2, False, 0.0, 16.0),
        (2, False, 10.0, 6.0),  # counted from the oldest arrival
        (2, False, 20.0, -4.0),
        (4, False, 0.0, 0.0),  # as many as are worth waiting for
    ],
)
def test_how_long_to_wait_for_company(*, waiting: int, busy: bool, now: float, expected: float) -> None:
    """Company is waited for within the queue delay, by nobody who is alone, and not once there is enough of it."""
    queue = _queue(2, max_rows=4, max_queue_delay_seconds=16.0)
    if busy:
        _add(queue)
        _take(queue)
    for number in range(waiting):
        _add(queue, arrived=_NOW + number * now)
    assert queue.delay(_NOW + now) == expected


def test_company_is_not_waited_for_beyond_the_deadline() -> None:
    """The window ends when the oldest request, in a full batch, would just be in time."""
    queue = _queue(2, cost=lambda _rows: 2.0, max_queue_delay_seconds=16.0)
    _add(queue, deadline=_NOW + 8)
    _add(queue)
    assert queue.delay(_NOW) == 6.0


@pytest.mark.parametrize("window", [0.0, 0.25])
def test_the_queue_delay_is_what_the_policy_says(window: float) -> None:
    """The default is to take what is there, and a delay is kept however short."""
    queue = _queue(2, max_queue_delay_seconds=window)
    _add(queue)
    _add(queue)
    assert queue.delay(_NOW) == window


@pytest.mark.parametrize(("left", "size"), [(0.875, 3), (1.0, 1), (1.125, 1), (1.25, 2), (1.5, 3)])
def test_a_batch_grows_as_far_as_a_deadline_allows(left: float, size: int) -> None:
    """To the size that is just in time, and freely where not even a single row would be."""
    queue = _queue(1, max_rows=3, cost=lambda rows: 0.75 + rows / 4)
    _add(queue, deadline=_NOW + 8)
    _add(queue)
    _add(queue)
    assert len(_take(queue, now=_NOW + 8 - left)) == size


def test_a_refusal_tells_the_numbers() -> None:
    """Milliseconds until the deadline, who waits, and milliseconds until an answer."""
    queue = _queue(1, cost=lambda _rows: 2.0)
    _add(queue)
    _take(queue)
    _add(queue)
    with pytest.raises(DeadlineUnreachable) as raised:
        _add(queue, deadline=_NOW + 1.5)
    assert str(raised.value) == (
        "the deadline is 1500 ms away, but with 1 requests waiting an answer takes about 4250 ms"
    )


def test_without_merging_what_waits_costs_as_much_as_alone() -> None:
    """A batch of eight would cost no more than one request here, but each runs on its own."""
    queue = _queue(cost=lambda _rows: 2.0, merge=False)
    _add(queue)
    _take(queue)
    for _ in range(4):
        _add(queue)
    with pytest.raises(DeadlineUnreachable, match="an answer takes about 12000 ms"):
        _add(queue, deadline=_NOW + 11.5)
    _add(queue, deadline=_NOW + 12)


_ROWS = st.lists(st.integers(1, 8), min_size=1, max_size=40)
_COSTS = st.lists(st.floats(0.001, 10.0), min_size=8, max_size=8)


@given(rows=_ROWS, instances=st.integers(1, 5), costs=_COSTS, merge=st.booleans(), left=st.sets(st.integers(0, 39)))
def test_batches_keep_the_order_and_the_limits(
    *, rows: list[int], instances: int, costs: list[float], merge: bool, left: set[int]
) -> None:
    """However instances take turns: nobody overtakes, nobody is lost, and no batch is larger than is cheapest."""
    queue = _queue(instances, cost=lambda rows: costs[rows - 1], merge=merge)
    entries = [_add(queue, str(number), count) for number, count in enumerate(rows)]
    for number in left:
        if number < len(entries):
            entries[number].future.cancel()
    taken: list[Entry[str, str]] = []
    turn = 0
    while queue:
        if queue.busy == instances:
            queue.release(str(turn % instances), _NOW)
        batch, _ = queue.take(str(turn % instances), _NOW)
        turn += 1
        taken += batch
        size = sum(entry.rows for entry in batch)
        assert len(batch) <= 1 or (merge and size <= queue.cost.cheapest_rows)
    assert taken == [entry for number, entry in enumerate(entries) if number not in left]
    assert queue._waiting_rows == 0


@given(requests=st.integers(1, 40), instances=st.integers(1, 5))
def test_no_idle_instance_goes_away_empty(requests: int, instances: int) -> None:
    """Of requests of one row each idle instance gets a fair share: as many as the others, or one more or less."""
    queue = _queue(instances, max_rows=64)
    for number in range(requests):
        _add(queue, str(number))
    sizes = [len(_take(queue, str(number))) for number in range(min(instances, requests))]
    assert sum(sizes) == requests
    assert max(sizes) - min(sizes) <= 1


@given(rows=_ROWS, deadlines=st.lists(st.floats(0, 12) | st.just(math.inf), min_size=40, max_size=40), costs=_COSTS)
def test_company_makes_nobody_late(rows: list[int], deadlines: list[float], costs: list[float]) -> None:
    """Nobody is late in a batch who, by the estimates, would have been in time in one of a single row."""
    queue = _queue(1, cost=lambda rows: costs[rows - 1])
    for count, deadline in zip(rows, deadlines, strict=False):
        try:
            _add(queue, rows=count, deadline=_NOW + deadline)
        except DeadlineUnreachable:
            continue
    now = _NOW + 1
    while queue:
        queue.release("first", _NOW)
        batch, expired = queue.take("first", now)
        assert all(entry.deadline <= now for entry in expired)
        assert all(entry.deadline > now for entry in batch)
        if len(batch) > 1:
            end = now + queue.cost.seconds(sum(entry.rows for entry in batch))
            tightest = min(entry.deadline for entry in batch)
            assert end <= tightest or tightest < now + queue.cost.seconds(1)
        now += 0.5
