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
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Generic, TypeVar

from server.errors import DeadlineUnreachable, ModelFailed, ServingError, ShuttingDown
from server.instance import Reply
from server.log_sampling import CauseLog
from server.request_queue import Entry, RequestQueue
from server.warm_up import WarmUp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.instance import Execution, Instance
    from server.model_warmup import Sample
    from server.request_queue import BatchingPolicy

logger = logging.getLogger(__name__)

Payload = TypeVar("Payload")
Result = TypeVar("Result")


class Batcher(Generic[Payload, Result]):
    """The queue of one model version and the threads of its instances.

    `observe_batch(rows, execution)` is called in an instance's thread after each execution that succeeded; `samples`
    are requests that each instance answers before the batcher is ready.
    """

    def __init__(
        self,
        name: str,
        instances: Sequence[Instance[Payload, Result]],
        policy: BatchingPolicy,
        observe_batch: Callable[[int, Execution[Result]], None],
        samples: Sequence[Sample] = (),
    ) -> None:
        self._name = name
        self._instances = instances
        self.observe_batch = observe_batch
        self._changed = threading.Condition()
        self._queue: RequestQueue[Payload, Result] = RequestQueue(policy, len(instances))
        self._warm_up = WarmUp(samples, self._queue.cost, _run_timed)
        self._accepting = False
        self._alive = True
        self._causes = CauseLog(logger)
        self._is_given_up: Callable[[], bool] = lambda: False
        self._threads: list[threading.Thread] = []

    def start(self, is_given_up: Callable[[], bool] = lambda: False) -> None:
        """Warm up every instance; returns when all are ready.

        `is_given_up()` is asked before each warm-up run, in the threads of the instances.

        Raises:
            ShuttingDown: nobody wants the batcher any more.
            SampleError: an instance failed on a sample.
            Exception: whatever the first instance that failed raised; no thread is left running.
        """
        self._accepting = True
        self._is_given_up = is_given_up
        try:
            opened = [self._launch(number, instance) for number, instance in enumerate(self._instances)]
            wait(opened, return_when=FIRST_EXCEPTION)
            for instance in filter(Future.done, opened):  # all of them, unless one failed
                instance.result()
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

    def submit(
        self, payload: Payload, rows: int, deadline: float = math.inf, trace: object = None
    ) -> Future[Reply[Result]]:
        """Queue a request of `rows` rows (1..max_rows) that must be answered by `deadline` (`time.monotonic` seconds).

        `trace` is found again in the `Execution` of its batch.
        Cancelling the future frees the request's place at once, unless an instance has taken it already.

        Raises:
            QueueFull: as many requests wait as may wait.
            DeadlineUnreachable: the work that is queued already will not be done in time.
            ShuttingDown: the batcher is closed.
        """
        entry: Entry[Payload, Result] = Entry(payload, rows, deadline, time.monotonic_ns(), trace)
        # Not a closure over the entry: that cycle would keep its payload until the garbage collector comes by.
        entry.future.add_done_callback(self._forget)
        with self._changed:
            if not self._accepting:
                raise ShuttingDown("the model is being unloaded")
            self._queue.add(entry, time.monotonic())
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
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Instances that are executing a batch."""
        return self._queue.busy

    @property
    def busy_seconds(self) -> float:
        """For how long instances have executed batches, of all instances together."""
        with self._changed:
            return self._queue.busy_seconds(time.monotonic())

    @property
    def alive(self) -> bool:
        """Whether every instance is still at work."""
        return self._alive

    def _forget(self, future: Future[Reply[Result]]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            if self._queue.discard(future):
                self._changed.notify()  # who waited for company may now be alone

    # In an instance's thread.

    def _serve(self, instance: Instance[Payload, Result], opened: Future[None]) -> None:
        try:
            self._work(instance, opened)
        finally:
            self._alive = False  # before code of the model's own, which may take its time
            instance.close()

    def _work(self, instance: Instance[Payload, Result], opened: Future[None]) -> None:
        try:
            instance.open()
            self._warm_up.run(instance, self._go_on)
        except BaseException as error:  # noqa: BLE001 - start() raises it
            opened.set_exception(error)
            return
        opened.set_result(None)
        batch: list[Entry[Payload, Result]] = []
        try:
            while batch := self._next_batch(instance):
                self._run_safely(instance, batch)
                batch.clear()  # an idle instance keeps nobody's data
        except BaseException:
            self._abandon(instance, batch)
            raise

    def _go_on(self) -> None:
        if self._is_given_up() or not self._accepting:  # another instance may have failed
            raise ShuttingDown("the model is not wanted any more")

    def _next_batch(self, instance: Instance[Payload, Result]) -> list[Entry[Payload, Result]]:
        """Wait for work and take it; an empty list means that the batcher is closed and drained."""
        while True:
            with self._changed:
                self._queue.release(instance, time.monotonic())
                if not self._wait_for_work():
                    return []
                batch, expired = self._queue.take(instance, time.monotonic())
                if self._queue:
                    self._changed.notify()  # there is work for another one
            for entry in expired:
                entry.future.set_exception(DeadlineUnreachable("the deadline passed while the request waited"))
            if batch:
                return batch

    def _wait_for_work(self) -> bool:
        """Sleep, under the lock, until a batch should be formed; false when closed and drained."""
        while True:
            if not self._queue:
                if not self._accepting:
                    return False
                self._changed.wait()
            elif self._accepting and (delay := self._queue.delay(time.monotonic())) > 0:
                self._changed.wait(min(delay, threading.TIMEOUT_MAX))
            else:
                return True

    def _run_safely(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> None:
        """Run a batch; a mistake of ours costs its callers their answers, but not the instance its thread."""
        try:
            self._run(instance, batch)
        except Exception:
            logger.exception("%s: a batch failed in a way that nobody thought of", self._name)
            _give_up(batch)

    def _run(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> None:
        started_ns = time.monotonic_ns()
        failure = self._try(instance, batch)
        if failure and len(batch) > 1:
            self._run_one_by_one(instance, batch)
        elif failure:
            self._refuse(batch[0], failure, started_ns)
        del failure  # its trace knows this frame, and both would keep the payloads

    def _try(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> Exception | None:
        """Execute a batch and answer it; returns why there is no answer, if there is none."""
        rows = [entry.rows for entry in batch]
        try:
            execution = instance.run([entry.payload for entry in batch], rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            return error
        execution.request_traces = [entry.trace for entry in batch]
        total = sum(rows)
        with self._changed:
            self._queue.cost.observe(total, (execution.finished_ns - execution.started_ns) / 1e9)
        self.observe_batch(total, execution)
        for entry, result in zip(batch, execution.results, strict=True):
            entry.future.set_result(Reply(result, entry.arrived_ns, total, execution))
        return None

    def _run_one_by_one(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> None:
        """Try the requests of a batch that failed again, so that one of them harms no other."""
        with self._changed:
            self._queue.prolong(instance, [entry.rows for entry in batch], time.monotonic())
        for entry in batch:
            if entry.deadline <= time.monotonic():
                entry.future.set_exception(DeadlineUnreachable("the deadline passed after the model had failed"))
            else:
                self._run(instance, [entry])

    def _refuse(self, entry: Entry[Payload, Result], error: Exception, started_ns: int) -> None:
        answer = error if isinstance(error, ServingError) else ModelFailed("the model failed on this request")
        answer.started_ns = started_ns
        if answer is not error:
            self._causes.error(f"{self._name}: an execution failed", error, model=self._name)
        entry.future.set_exception(answer.with_traceback(None))  # its trace knows frames that hold payloads

    def _abandon(self, instance: Instance[Payload, Result], batch: Sequence[Entry[Payload, Result]]) -> None:
        """This thread is about to die: nobody may be left waiting for it."""
        with self._changed:
            self._queue.release(instance, time.monotonic())
            self._accepting = False
            stranded = self._queue.clear()
            self._changed.notify_all()
        _give_up([*batch, *(entry for entry in stranded if entry.future.set_running_or_notify_cancel())])


def _run_timed(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started


def _give_up(batch: Sequence[Entry[Payload, Result]]) -> None:
    """Answer those who have no answer yet."""
    for entry in batch:
        if not entry.future.done():
            entry.future.set_exception(ModelFailed("the model failed unexpectedly"))
