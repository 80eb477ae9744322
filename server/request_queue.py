"""The decisions of batching: who may wait, who is taken next, how many at a time, and when.

Nothing here has a lock, a thread or a clock: `server.batching` calls it under its lock and tells it what time it is, in
seconds of `time.monotonic`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from server.cost import CostModel
from server.errors import DeadlineUnreachable, QueueFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.instance import Reply

Payload = TypeVar("Payload")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """Upper bounds from config.pbtxt; within them the queue decides.

    Without `merge` each request is executed alone, whatever its size.
    """

    max_rows: int = 1
    merge: bool = True
    queue_capacity: int = 1024
    max_queue_delay_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Entry(Generic[Payload, Result]):
    """A request in the queue; `deadline` is infinite where the caller has set none, `trace` goes to its `Execution`."""

    payload: Payload
    rows: int
    deadline: float
    arrived_ns: int
    trace: object = None
    future: Future[Reply[Result]] = field(default_factory=Future)


class RequestQueue(Generic[Payload, Result]):
    """The requests that wait for one of `instances` instances, and until when each of these is busy."""

    def __init__(self, policy: BatchingPolicy, instances: int) -> None:
        self.cost = CostModel(policy.max_rows)
        self._policy = policy
        self._instances = instances
        self._waiting: OrderedDict[Future[Reply[Result]], Entry[Payload, Result]] = OrderedDict()
        self._waiting_rows = 0
        self._busy_until: dict[object, float] = {}
        self._busy_since: dict[object, float] = {}
        self._busy_seconds = 0.0

    def __len__(self) -> int:
        """Requests that no instance has taken yet."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Instances that are executing a batch."""
        return len(self._busy_until)

    def busy_seconds(self, now: float) -> float:
        """For how long instances have executed batches, of all instances together."""
        return self._busy_seconds + sum(now - since for since in self._busy_since.values())

    def add(self, entry: Entry[Payload, Result], now: float) -> None:
        """Let a request wait.

        Raises:
            QueueFull: as many requests wait as may wait.
            DeadlineUnreachable: the work that is queued already will not be done in time.
        """
        if len(self._waiting) >= self._policy.queue_capacity:
            raise QueueFull("Exceeds maximum queue size")
        if entry.deadline < math.inf:
            self._check_deadline(entry, now)
        self._waiting[entry.future] = entry
        self._waiting_rows += entry.rows

    def _check_deadline(self, entry: Entry[Payload, Result], now: float) -> None:
        """Refuse what cannot be done in time; an idle instance always tries, so the estimates can recover."""
        if now >= entry.deadline:
            raise DeadlineUnreachable("the deadline has passed")
        if self._instances - self.busy > len(self._waiting):
            return
        running = sum(max(0.0, until - now) for until in self._busy_until.values())
        queued = self._queued_seconds()
        expected = (running + queued) / self._instances + self.cost.seconds(entry.rows)
        if now + expected > entry.deadline:
            raise DeadlineUnreachable(
                f"the deadline is {(entry.deadline - now) * 1e3:.0f} ms away, but with {len(self._waiting)} requests"
                f" waiting an answer takes about {expected * 1e3:.0f} ms"
            )

    def _queued_seconds(self) -> float:
        """What one instance needs for all that waits."""
        if self._policy.merge or not self._waiting:
            return self._waiting_rows * self.cost.seconds_per_row
        usual_rows = math.ceil(self._waiting_rows / len(self._waiting))
        return len(self._waiting) * self.cost.seconds(usual_rows)

    def discard(self, future: Future[Reply[Result]]) -> bool:
        """Give up a request's place; false when it has none."""
        entry = self._waiting.get(future)
        if entry is not None:
            self._remove(entry)
        return entry is not None

    def clear(self) -> list[Entry[Payload, Result]]:
        """Give up every place; returns who had one."""
        entries = list(self._waiting.values())
        self._waiting.clear()
        self._waiting_rows = 0
        return entries

    def delay(self, now: float) -> float:
        """Seconds to wait for company, counted from the oldest arrival; nothing for a request that is alone.

        No deadline of those that wait is missed for it; they are fewer here than fill a batch.
        """
        window = self._policy.max_queue_delay_seconds
        alone = not self._busy_until and len(self._waiting) == 1
        if window <= 0 or alone or self._waiting_rows >= self.cost.cheapest_rows:
            return 0.0
        oldest = next(iter(self._waiting.values()))
        tightest = min(entry.deadline for entry in self._waiting.values())
        latest = tightest - self.cost.seconds(self.cost.cheapest_rows)
        return min(oldest.arrived_ns / 1e9 + window, latest) - now

    def take(self, instance: object, now: float) -> tuple[list[Entry[Payload, Result]], list[Entry[Payload, Result]]]:
        """Claim the next batch for an idle `instance`, which is busy then; what has expired comes second.

        Each idle instance takes its share of what waits, but no more than is cheapest at a time, and no more than the
        deadlines in the batch allow.
        """
        share = math.ceil(self._waiting_rows / (self._instances - self.busy))
        limit = min(self.cost.cheapest_rows, share) if self._policy.merge else 0
        batch: list[Entry[Payload, Result]] = []
        expired: list[Entry[Payload, Result]] = []
        rows, earliest = 0, math.inf
        while self._waiting:
            entry = next(iter(self._waiting.values()))
            tightest = min(earliest, entry.deadline)
            if batch and (rows + entry.rows > limit or self._makes_late(rows + entry.rows, tightest, now)):
                break
            self._remove(entry)
            if not entry.future.set_running_or_notify_cancel():
                continue  # the caller has left
            if entry.deadline <= now:
                expired.append(entry)
                continue
            batch.append(entry)
            rows += entry.rows
            earliest = tightest
        if batch:
            self._busy_until[instance] = now + self.cost.seconds(rows)
            self._busy_since[instance] = now
        return batch, expired

    def prolong(self, instance: object, rows: Sequence[int], now: float) -> None:
        """Note that a busy `instance` is about to execute so many batches of these rows, one after another."""
        self._busy_until[instance] = now + sum(map(self.cost.seconds, rows))

    def release(self, instance: object, now: float) -> None:
        """Note that `instance` is idle."""
        self._busy_until.pop(instance, None)
        self._busy_seconds += now - self._busy_since.pop(instance, now)

    def _makes_late(self, rows: int, deadline: float, now: float) -> bool:
        """Whether growing to `rows` rows misses a deadline that a single row could still make."""
        return now + self.cost.seconds(1) <= deadline < now + self.cost.seconds(rows)

    def _remove(self, entry: Entry[Payload, Result]) -> None:
        del self._waiting[entry.future]
        self._waiting_rows -= entry.rows
