from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.errors import DeadlineUnreachable, ModelFailed, QueueFull, QueueTimeout, ShuttingDown
from server.instance import Execution
from server.model_config import QueuePolicy
from server.services.delivery import Delivery
from server.services.execution import execute
from server.services.outcome import Outcome
from server.statistics import ModelStatistics
from tests.server.services.event_loop import settle
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.conftest import OpenBench
    from tests.server.workshop import Bench

_LIMIT = 2048.0  # seconds: no timer of this length ever fires by itself in a test


class Timers:
    """The timers that were set in the event loop, which the test lets fire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.delays: list[float] = []
        self.callbacks: list[Callable[[], Any]] = []
        self.handles: list[asyncio.TimerHandle] = []
        call_later = loop.call_later

        def recorded(delay: float, callback: Callable[..., Any], *arguments: Any, **more: Any) -> asyncio.TimerHandle:
            self.delays.append(delay)
            self.callbacks.append(callback)
            self.handles.append(call_later(delay, callback, *arguments, **more))
            return self.handles[-1]

        monkeypatch.setattr(loop, "call_later", recorded)


class Model:
    """A batcher and its statistics, and requests to them."""

    def __init__(self, bench: Bench, queue: QueuePolicy) -> None:
        self.bench = bench
        self.statistics = ModelStatistics()
        self.version: Any = SimpleNamespace(
            batcher=bench.batcher, statistics=self.statistics, config=SimpleNamespace(name="model", queue=queue)
        )
        self.delivery = Delivery()

    async def execute(self, payload: str, *, within: float = float("inf"), limit: float = 0.0) -> str:
        """Execute one request; returns the bare answer."""
        deadline = self.bench.clock.monotonic() + within
        request: Any = payload
        with Outcome(self.version) as outcome:
            reply: Any = await execute(self.version, self.delivery, request, 1, deadline, limit)
            outcome.answered(1, reply)
        return str(reply.result)

    def start(self, payload: str, **options: float) -> asyncio.Task[str]:
        """Begin to execute one request."""
        return asyncio.ensure_future(self.execute(payload, **options))

    @property
    def failures(self) -> dict[str, int]:
        """The reasons that were counted."""
        assert self.statistics.fail.count == sum(self.statistics.failures.values())
        assert 0 <= self.statistics.fail.request_ns < HANGING_SECONDS * 1e9
        return {reason: count for reason, count in self.statistics.failures.items() if count}


@pytest.fixture
def open_model(open_bench: OpenBench) -> Iterator[Callable[..., Model]]:
    """Opens a model; keywords are the batcher's and, as `queue`, the policy of config.pbtxt."""

    def open_model(*, queue: QueuePolicy = QueuePolicy(), **options: Any) -> Model:  # noqa: B008 - it is frozen
        return Model(open_bench(**options), queue)

    return open_model


async def test_the_answer_comes_back(open_model: Callable[..., Model]) -> None:
    """An answer is the batcher's reply, and no failure."""
    model = open_model()
    request = model.start("a")
    await asyncio.to_thread(lambda: model.bench.next_run().finish())
    assert await request == "a!"
    assert model.failures == {}
    assert model.statistics.success.count == 1


async def test_a_request_that_is_refused_is_counted(open_model: Callable[..., Model]) -> None:
    """A full queue and a deadline that cannot be met count as REJECTED, a model that goes as OTHER."""
    model = open_model(queue_capacity=1)
    with pytest.raises(DeadlineUnreachable):
        await model.execute("late", within=-1)
    [busy] = await asyncio.to_thread(model.bench.occupy)
    waiting = model.start("waiting")
    await settle()
    with pytest.raises(QueueFull):
        await model.execute("one too many")
    assert model.failures == {"REJECTED": 2}
    busy.finish()
    model.bench.workshop.run_alone()
    assert await waiting == "waiting!"
    await asyncio.to_thread(model.bench.batcher.close)
    with pytest.raises(ShuttingDown):
        await model.execute("too late")
    assert model.failures == {"REJECTED": 2, "OTHER": 1}


async def test_a_model_that_fails_is_counted(open_model: Callable[..., Model]) -> None:
    """What the model did counts as BACKEND."""
    model = open_model()
    request = model.start("a")
    await asyncio.to_thread(lambda: model.bench.next_run().fail(ValueError()))
    with pytest.raises(ModelFailed):
        await request
    assert model.failures == {"BACKEND": 1}


@pytest.mark.parametrize("limit", [0.0, _LIMIT])
async def test_a_caller_that_leaves_frees_its_place(open_model: Callable[..., Model], limit: float) -> None:
    """Cancelling takes the request out of the queue at once, with a limit or without, and counts as CANCELED."""
    model = open_model(queue_capacity=1, queue=QueuePolicy(timeout_seconds=limit))
    await asyncio.to_thread(model.bench.occupy)
    leaving = model.start("leaving")
    await settle()
    assert model.bench.batcher.waiting == 1
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert model.bench.batcher.waiting == 0
    assert model.failures == {"CANCELED": 1}


@pytest.mark.parametrize("limit", [0.0, _LIMIT])
async def test_a_caller_that_leaves_a_running_batch_harms_nobody(
    open_model: Callable[..., Model], limit: float
) -> None:
    """A request that an instance has taken already is computed for nobody, and those beside it are answered."""
    model = open_model(queue=QueuePolicy(timeout_seconds=limit))
    [busy] = await asyncio.to_thread(model.bench.occupy)
    leaving, staying = model.start("leaving"), model.start("staying")
    await settle()
    busy.finish()
    run = await asyncio.to_thread(model.bench.next_run)
    assert run.payloads == ["leaving", "staying"]
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    run.finish()
    assert await staying == "staying!"
    assert model.failures == {"CANCELED": 1}


async def test_what_waits_too_long_is_told_so(
    open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the queue's time is over the request gives up its place, with Triton's words, and counts as REJECTED."""
    model = open_model(queue=QueuePolicy(timeout_seconds=_LIMIT))
    await asyncio.to_thread(model.bench.occupy)
    timers = Timers(monkeypatch)
    waiting = model.start("waiting")
    await settle()
    assert timers.delays == [_LIMIT]
    timers.callbacks[0]()
    with pytest.raises(QueueTimeout, match=r"^Request timeout expired$"):
        await waiting
    assert model.bench.batcher.waiting == 0
    assert model.failures == {"REJECTED": 1}


async def test_what_runs_is_finished(open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's time does not end an execution."""
    model = open_model(queue=QueuePolicy(timeout_seconds=_LIMIT))
    timers = Timers(monkeypatch)
    request = model.start("a")
    await settle()
    run = await asyncio.to_thread(model.bench.next_run)
    timers.callbacks[0]()
    run.finish()
    assert await request == "a!"
    assert model.failures == {}
    assert timers.handles[0].cancelled()  # nothing of the request is kept until it would have fired


@pytest.mark.parametrize(
    ("policy", "requested", "expected"),
    [
        (QueuePolicy(), 5.0, None),  # no time of the policy: as with Triton the request's counts for nothing
        (QueuePolicy(timeout_override=True), 5.0, None),
        (QueuePolicy(timeout_seconds=2048.0), 1024.0, 2048.0),
        (QueuePolicy(timeout_seconds=2048.0, timeout_override=True), 0.0, 2048.0),
        (QueuePolicy(timeout_seconds=2048.0, timeout_override=True), 1024.0, 1024.0),
        (QueuePolicy(timeout_seconds=2048.0, timeout_override=True), 4096.0, 2048.0),
    ],
)
async def test_a_caller_can_only_shorten_the_queues_time(
    open_model: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    policy: QueuePolicy,
    requested: float,
    expected: float | None,
) -> None:
    """The request's `timeout` counts where the configuration allows it and has a limit, which it cannot exceed."""
    model = open_model(queue=policy)
    model.bench.workshop.run_alone()
    timers = Timers(monkeypatch)
    assert await model.execute("a", limit=requested) == "a!"
    assert timers.delays == ([] if expected is None else [expected])


async def _is_forgotten(request: asyncio.Task[str], batcher: Any) -> bool:
    """Whether a request's error is freed with the last reference to the request, without the garbage collector."""
    gc.disable()
    try:
        await asyncio.wait([request])
        await asyncio.to_thread(batcher.close)  # whose threads keep nothing either, once they have ended
        error = weakref.ref(request.exception() or pytest.fail("it has not failed"))
        del request
        await settle()
        return error() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("limit", [0.0, _LIMIT])
async def test_nothing_is_kept_of_a_request_that_failed(open_model: Callable[..., Model], limit: float) -> None:
    """An error's trace knows the request's data, so nothing that the trace knows may know the error."""
    model = open_model(queue=QueuePolicy(timeout_seconds=limit))
    [busy] = await asyncio.to_thread(model.bench.occupy)
    late = [model.start("late", within=4.0)]
    await settle()
    model.bench.clock.advance(8.0)
    busy.finish()
    assert await _is_forgotten(late.pop(), model.bench.batcher)


async def test_nothing_is_kept_of_a_request_that_the_model_refused(
    open_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of one that code in a model has answered by an error, which stays in the reply."""
    model = open_model()
    [instance] = model.bench.batcher._instances

    def refuse(_payloads: Any, _rows: Any) -> Execution[Any]:
        return Execution([ModelFailed("no")], 1024, 1024, 1024, 1024)

    monkeypatch.setattr(instance, "run", refuse)
    assert await _is_forgotten(model.start("refused"), model.bench.batcher)
    assert model.failures == {"BACKEND": 1}
