"""The batching core: requests wait in one bounded queue, and an instance that is free takes what waits.

Threads own batching; a `concurrent.futures.Future` is all that crosses to the network's side. There is no scheduler
thread and no second queue: a batch is formed by the instance that runs it, at the moment it is free, so it grows for as
long as nobody can run it. Nothing here needs tuning: a lone request never waits, a backlog is spread over the idle
instances, batches grow to the size that is cheapest per row and no further, and a request whose deadline cannot be met
is refused at the door.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from server.cost import CostModel
from server.errors import DeadlineUnreachable, ModelFailed, QueueFull, ServingError, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

Payload = TypeVar("Payload")
Result = TypeVar("Result")
Payload_contra = TypeVar("Payload_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

_WARM_UP_RUNS = 3


@dataclass(slots=True, eq=False)  # not frozen, which would make making one several times as dear
class Execution(Generic[Result_co]):
    """What one run of a batch gave, and when its three parts ended (`time.monotonic_ns`)."""

    results: Sequence[Result_co]
    started_ns: int
    input_ready_ns: int
    computed_ns: int
    finished_ns: int


class Instance(Protocol[Payload_contra, Result_co]):
    """One executor of a model, used by one thread alone."""

    def open(self) -> None:
        """Prepare this thread: called first, in the thread that will run the batches."""

    def warm_up(self, rows: int) -> None:
        """Run a batch of `rows` rows that nobody asked for."""

    def run(self, payloads: Sequence[Payload_contra], rows: Sequence[int]) -> Execution[Result_co]:
        """Run one batch; `payloads[i]` has `rows[i]` rows, `results[i]` answers it."""


@dataclass(slots=True, eq=False)
class Reply(Generic[Result_co]):
    """One request's answer and the batch that gave it."""

    result: Result_co
    arrived_ns: int
    batch_rows: int
    execution: Execution[Result_co]


@dataclass(slots=True, eq=False)
class Entry(Generic[Payload, Result]):
    """A request in the queue."""

    payload: Payload
    rows: int
    deadline: float
    arrived_ns: int
    future: Future[Reply[Result]] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """Upper bounds from config.pbtxt; within them the batcher decides.

    Without `merge` each request is executed alone, whatever its size.
    """

    max_rows: int = 1
    merge: bool = True
    queue_capacity: int = 1024
    max_queue_delay_seconds: float = 0.0


class Batcher(Generic[Payload, Result]):
    """The queue of one model version and the threads of its instances.

    `observe_batch(rows, execution)` is called in an instance's thread after each execution that succeeded.
    """

    def __init__(
        self,
        name: str,
        instances: Sequence[Instance[Payload, Result]],
        policy: BatchingPolicy,
        observe_batch: Callable[[int, Execution[Result]], None],
    ) -> None:
        self._name = name
        self._instances = instances
        self._policy = policy
        self._observe_batch = observe_batch
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Future[Reply[Result]], Entry[Payload, Result]] = OrderedDict()
        self._waiting_rows = 0
        self._busy_until: dict[Instance[Payload, Result], float] = {}
        self._cost = CostModel(policy.max_rows)
        self._accepting = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Warm up every batch size on every instance; returns when all are ready.

        Raises:
            Exception: whatever the first instance that failed raised; no thread is left running.
        """
        self._accepting = True
        try:
            for opened in [self._launch(number, instance) for number, instance in enumerate(self._instances)]:
                opened.result()
        except BaseException:
            self.close()
            raise

    def _launch(self, number: int, instance: Instance[Payload, Result]) -> Future[None]:
        """Start an instance's thread; the future is resolved when it is ready."""
        opened: Future[None] = Future()
        thread = threading.Thread(target=self._serve, args=(instance, opened), name=f"{self._name}-{number}")
        thread.start()
        self._threads.append(thread)
        return opened

    def submit(self, payload: Payload, rows: int, deadline: float = math.inf) -> Future[Reply[Result]]:
        """Queue a request of `rows` rows (1..max_rows) that must be answered by `deadline` (`time.monotonic` seconds).

        Cancelling the future frees the request's place at once, unless an instance has taken it already.

        Raises:
            QueueFull: as many requests wait as may wait.
            DeadlineUnreachable: the work that is queued already will not be done in time.
            ShuttingDown: the batcher is closed.
        """
        entry: Entry[Payload, Result] = Entry(payload, rows, deadline, time.monotonic_ns())
        # Not a closure over the entry: that cycle would keep its payload until the garbage collector comes by.
        entry.future.add_done_callback(self._forget)
        with self._changed:
            self._admit(entry)
            self._waiting[entry.future] = entry
            self._waiting_rows += rows
            self._changed.notify()
        return entry.future

    def close(self) -> None:
        """Take nothing more, answer what waits, and end the threads."""
        with self._changed:
            self._accepting = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def waiting(self) -> int:
        """Requests that no instance has taken yet."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Instances that are executing a batch."""
        return len(self._busy_until)

    @property
    def alive(self) -> bool:
        """Whether every instance still has its thread."""
        return all(thread.is_alive() for thread in self._threads)

    # At the door, under the lock.

    def _admit(self, entry: Entry[Payload, Result]) -> None:
        if not self._accepting:
            raise ShuttingDown("the model is being unloaded")
        if len(self._waiting) >= self._policy.queue_capacity:
            raise QueueFull("Exceeds maximum queue size")
        if entry.deadline < math.inf:
            self._admit_deadline(entry)

    def _admit_deadline(self, entry: Entry[Payload, Result]) -> None:
        """Refuse what cannot be done in time; an idle instance always tries, so the estimates can recover."""
        now = time.monotonic()
        idle = len(self._instances) - len(self._busy_until)
        if now >= entry.deadline:
            raise DeadlineUnreachable("the deadline has passed")
        if idle > len(self._waiting):
            return
        running = sum(max(0.0, until - now) for until in self._busy_until.values())
        queued = self._waiting_rows * self._cost.seconds_per_row
        expected = (running + queued) / len(self._instances) + self._cost.seconds(entry.rows)
        if now + expected > entry.deadline:
            raise DeadlineUnreachable(
                f"the deadline is {(entry.deadline - now) * 1e3:.0f} ms away, but with {len(self._waiting)} requests"
                f" waiting an answer takes about {expected * 1e3:.0f} ms"
            )

    def _forget(self, future: Future[Reply[Result]]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            if future in self._waiting:
                self._remove(self._waiting[future])
                self._changed.notify()  # who waited for company may now be alone

    def _remove(self, entry: Entry[Payload, Result]) -> None:
        del self._waiting[entry.future]
        self._waiting_rows -= entry.rows

    # In an instance's thread.

    def _serve(self, instance: Instance[Payload, Result], opened: Future[None]) -> None:
        try:
            self._open(instance)
        except BaseException as error:  # noqa: BLE001 - start() raises it
            opened.set_exception(error)
            return
        opened.set_result(None)
        batch: list[Entry[Payload, Result]] = []
        try:
            while batch := self._next_batch(instance):
                self._run(instance, batch)
                batch.clear()  # an idle instance keeps nobody's data
        except BaseException:
            self._abandon(batch)
            raise

    def _open(self, instance: Instance[Payload, Result]) -> None:
        instance.open()
        for rows in range(1, self._policy.max_rows + 1):
            instance.warm_up(rows)
            for _ in range(_WARM_UP_RUNS - 1):
                started = time.monotonic()
                instance.warm_up(rows)
                with self._changed:
                    self._cost.learn(rows, time.monotonic() - started)

    def _next_batch(self, instance: Instance[Payload, Result]) -> list[Entry[Payload, Result]]:
        """Wait for work and take it; an empty list means that the batcher is closed and drained."""
        with self._changed:
            self._busy_until.pop(instance, None)
        while True:
            with self._changed:
                if not self._wait_for_work():
                    return []
                batch, expired = self._take()
                if batch:
                    rows = sum(entry.rows for entry in batch)
                    self._busy_until[instance] = time.monotonic() + self._cost.seconds(rows)
                if self._waiting:
                    self._changed.notify()
            for entry in expired:
                entry.future.set_exception(DeadlineUnreachable("the deadline passed while the request waited"))
            if batch:
                return batch

    def _wait_for_work(self) -> bool:
        """Sleep, under the lock, until a batch should be formed; false when closed and drained."""
        while True:
            if not self._waiting:
                if not self._accepting:
                    return False
                self._changed.wait()
            elif (delay := self._delay()) > 0:
                self._changed.wait(min(delay, threading.TIMEOUT_MAX))
            else:
                return True

    def _delay(self) -> float:
        """Seconds to wait for company, counted from the oldest arrival; nothing for a request that is alone."""
        window = self._policy.max_queue_delay_seconds
        alone = not self._busy_until and len(self._waiting) == 1
        if window <= 0 or alone or not self._accepting or self._waiting_rows >= self._cost.cheapest_rows:
            return 0.0
        oldest = next(iter(self._waiting.values()))
        latest = oldest.deadline - self._cost.seconds(self._cost.cheapest_rows)
        return min(oldest.arrived_ns / 1e9 + window, latest) - time.monotonic()

    def _take(self) -> tuple[list[Entry[Payload, Result]], list[Entry[Payload, Result]]]:
        """Claim the next batch; what has expired meanwhile comes second."""
        idle = len(self._instances) - len(self._busy_until)
        share = math.ceil(self._waiting_rows / idle)
        limit = min(self._cost.cheapest_rows, share) if self._policy.merge else 0
        batch: list[Entry[Payload, Result]] = []
        expired: list[Entry[Payload, Result]] = []
        rows, now, earliest = 0, time.monotonic(), math.inf
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
        return batch, expired

    def _makes_late(self, rows: int, deadline: float, now: float) -> bool:
        """Whether growing to `rows` rows misses a deadline that a single row could still make."""
        return now + self._cost.seconds(1) <= deadline < now + self._cost.seconds(rows)

    def _run(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> None:
        rows = [entry.rows for entry in batch]
        try:
            execution = instance.run([entry.payload for entry in batch], rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._fail(instance, batch, error)
            return
        total = sum(rows)
        with self._changed:
            self._cost.observe(total, (execution.finished_ns - execution.started_ns) / 1e9)
        self._observe_batch(total, execution)
        for entry, result in zip(batch, execution.results, strict=True):
            entry.future.set_result(Reply(result, entry.arrived_ns, total, execution))

    def _fail(
        self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]], error: Exception
    ) -> None:
        """Answer a batch that failed; its requests are tried one by one, so that one of them harms no other."""
        if len(batch) > 1:
            for entry in batch:
                self._run(instance, [entry])
            return
        answer = error
        if not isinstance(error, ServingError):
            logger.error("%s: an execution failed", self._name, exc_info=error)
            answer = ModelFailed("the model failed on this request")
        batch[0].future.set_exception(answer)

    def _abandon(self, batch: Sequence[Entry[Payload, Result]]) -> None:
        """This thread is about to die: nobody may be left waiting for it."""
        with self._changed:
            self._accepting = False
            stranded = list(self._waiting.values())
            self._waiting.clear()
            self._waiting_rows = 0
            self._changed.notify_all()
        claimed = [entry for entry in batch if not entry.future.done()]
        claimed += [entry for entry in stranded if entry.future.set_running_or_notify_cancel()]
        for entry in claimed:
            entry.future.set_exception(ModelFailed("the model's instance ended unexpectedly"))
