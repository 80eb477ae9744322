from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from server.batching import Batcher
from server.errors import DeadlineUnreachable, InvalidRequest, ModelFailed, ShuttingDown
from server.request_queue import BatchingPolicy
from tests.server.workshop import FORGOTTEN, HANGING_SECONDS, Workshop, WorkshopInstance, answer, failure

if TYPE_CHECKING:
    from tests.server.conftest import OpenBench
    from tests.server.workshop import Clock

# A thread that dies says so, which pytest takes for a warning.
dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Crash(BaseException):
    """What no thread survives."""


def test_one_poisoned_request_harms_no_other(open_bench: OpenBench) -> None:
    """When a batch fails its requests are tried one by one, and only the one that fails alone is told so."""
    bench = open_bench()
    [busy] = bench.occupy()
    futures = {payload: bench.submit(payload) for payload in ("a", "poison", "b")}
    busy.finish()
    bench.next_run().fail(ValueError("somewhere inside"))
    for _ in range(3):
        run = bench.next_run()
        if run.payloads == ["poison"]:
            run.fail(ValueError("secret path"))
        else:
            run.finish()
    assert [answer(futures["a"]), answer(futures["b"])] == ["a!", "b!"]
    assert isinstance(failure(futures["poison"]), ModelFailed)
    assert bench.observed == [1, 1, 1]


def test_a_failed_batch_is_not_repeated_for_those_who_gave_up(open_bench: OpenBench) -> None:
    """Whose deadline has passed by then is told so, and costs the others no time."""
    bench = open_bench()
    [busy] = bench.occupy()
    late, patient = bench.submit("late", within=8), bench.submit("patient")
    busy.finish()
    run = bench.next_run()
    bench.clock.advance(8)
    run.fail(ValueError("somewhere inside"))
    run = bench.next_run()
    assert run.payloads == ["patient"]
    run.finish()
    assert isinstance(failure(late), DeadlineUnreachable)
    assert answer(patient) == "patient!"


def test_a_failure_tells_nothing_of_the_inside(open_bench: OpenBench, caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns that the model failed, the log learns why."""
    bench = open_bench()
    future = bench.submit("a")
    bench.next_run().fail(ValueError("secret path"))
    assert str(failure(future)) == "the model failed on this request"
    assert "secret path" in caplog.text


def test_a_lone_request_that_fails_is_not_tried_again(open_bench: OpenBench) -> None:
    """One failure is an answer."""
    bench = open_bench()
    first = bench.submit("a")
    bench.next_run().fail(ValueError())
    assert isinstance(failure(first), ModelFailed)
    bench.submit("b")
    assert bench.next_run().payloads == ["b"]
    assert bench.workshop.executed == [["a"], ["b"]]


def test_a_serving_error_reaches_the_caller_as_it_is(open_bench: OpenBench) -> None:
    """An instance that knows what to tell the caller is quoted."""
    bench = open_bench()
    future = bench.submit("a")
    error = InvalidRequest("too blue")
    bench.next_run().fail(error)
    assert failure(future) is error


@dies
def test_a_thread_that_dies_strands_nobody(open_bench: OpenBench) -> None:
    """Its batch and what waits are told, the batch of another instance is answered, and nothing more is taken."""
    bench = open_bench(instances=2)
    dying, surviving = bench.submit("dying"), bench.submit("surviving")
    runs = {run.payloads[0]: run for run in (bench.next_run(), bench.next_run())}
    waiting, leaving = bench.submit("waiting"), bench.submit("leaving")
    leaving.cancel()
    runs["dying"].fail(Crash())
    assert isinstance(failure(dying), ModelFailed)
    assert isinstance(failure(waiting), ModelFailed)
    runs["surviving"].finish()
    assert answer(surviving) == "surviving!"
    with pytest.raises(ShuttingDown):
        bench.submit("late")
    bench.batcher.close()
    assert not bench.batcher.alive


@dies
def test_an_instance_that_died_is_told_of_before_its_model_has_let_go(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code of the model's own may take any time to end, or never do."""
    closing, closed = threading.Event(), threading.Event()

    def close(_instance: WorkshopInstance) -> None:
        closing.set()
        closed.wait(HANGING_SECONDS)

    monkeypatch.setattr(WorkshopInstance, "close", close)
    bench = open_bench()
    bench.submit("dying")
    bench.next_run().fail(Crash())
    assert closing.wait(HANGING_SECONDS)
    assert not bench.batcher.alive
    closed.set()


@dies
@pytest.mark.parametrize("error", [ValueError(), Crash()])
def test_a_thread_that_dies_amid_retries_strands_nobody(open_bench: OpenBench, error: BaseException) -> None:
    """Whatever happens while the requests of a failed batch are tried one by one, each of them is answered."""
    bench = open_bench()
    [busy] = bench.occupy()
    futures = [bench.submit(payload) for payload in "abc"]
    busy.finish()
    bench.next_run().fail(ValueError())
    bench.next_run().finish()
    bench.next_run().fail(error)
    bench.workshop.run_alone()
    assert answer(futures[0]) == "a!"
    assert isinstance(failure(futures[1]), ModelFailed)
    assert isinstance(failure(futures[2]), ModelFailed if isinstance(error, Crash) else type(None))


def test_an_observer_that_fails_ends_no_instance(open_bench: OpenBench, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in what looks on leaves no caller waiting, and the next batch runs."""
    observed = []

    def observe(rows: int) -> None:
        observed.append(rows)
        if len(observed) == 1:
            raise ZeroDivisionError

    bench = open_bench(observe=observe)
    first = bench.submit("a")
    run = bench.next_run()
    second = bench.submit("b")
    run.finish()
    assert isinstance(failure(first), ModelFailed)
    bench.next_run().finish()
    assert answer(second) == "b!"
    assert bench.batcher.alive
    assert "ZeroDivisionError" in caplog.text


def test_an_instance_that_answers_too_few_strands_nobody(open_bench: OpenBench) -> None:
    """An instance that breaks its contract leaves no caller waiting, and goes on."""
    bench = open_bench()
    [busy] = bench.occupy()
    futures = [bench.submit("a"), bench.submit(FORGOTTEN)]
    busy.finish()
    bench.next_run().finish()
    assert answer(futures[0]) == "a!"
    assert isinstance(failure(futures[1]), ModelFailed)
    bench.submit("next")
    assert bench.next_run().payloads == ["next"]


def test_closing_answers_what_was_accepted(open_bench: OpenBench) -> None:
    """Closing takes nothing more, runs what waits without any window, and returns when the threads have ended."""
    bench = open_bench(instances=2, max_queue_delay_seconds=4096.0)
    before = bench.occupy()
    futures = [bench.submit(str(number), rows=5) for number in range(5)]
    closing = threading.Thread(target=bench.batcher.close)
    closing.start()
    assert sum(len(bench.next_run().payloads) for _ in range(1)) == 1
    bench.workshop.run_alone()
    closing.join(HANGING_SECONDS)
    assert before[0].over.done()
    assert [answer(future) for future in futures] == ["0!", "1!", "2!", "3!", "4!"]
    with pytest.raises(ShuttingDown):
        bench.submit("late")
    bench.batcher.close()  # a second time does no harm


def test_a_request_that_is_late_while_closing_is_told(open_bench: OpenBench) -> None:
    """Draining answers everybody, those whose time has run out as well."""
    bench = open_bench()
    [busy] = bench.occupy()
    late = bench.submit("late", within=2)
    bench.clock.advance(2)
    busy.finish()
    bench.batcher.close()
    assert isinstance(failure(late), DeadlineUnreachable)


def test_every_size_is_warm_on_every_instance(open_bench: OpenBench) -> None:
    """Nobody meets a batch size that an instance has not run before, in the very thread that will run it."""
    bench = open_bench(instances=3, max_rows=5)
    assert set(bench.workshop.warmed) == {(number, rows) for number in range(3) for rows in range(1, 6)}
    threads = {instance.thread for instance in bench.workshop.instances}
    assert threads == set(bench.batcher._threads)


def test_the_batcher_takes_nothing_before_it_is_warm(clock: Clock) -> None:
    """A batcher that was not started refuses."""
    batcher = _batcher(clock)
    with pytest.raises(ShuttingDown):
        batcher.submit("a", 1)


@pytest.mark.parametrize("error", [ValueError("no weights"), Crash()])
def test_a_warm_up_that_fails_leaves_no_thread(clock: Clock, error: BaseException) -> None:
    """Starting raises what the instance raised, once all threads have ended."""
    batcher = _batcher(clock, None, error, None)
    before = threading.active_count()
    with pytest.raises(type(error)) as raised:
        batcher.start()
    assert raised.value is error
    assert all(instance.is_closed for instance in batcher._instances)  # type: ignore[attr-defined] # of the workshop
    assert threading.active_count() == before
    with pytest.raises(ShuttingDown):
        batcher.submit("a", 1)


def test_too_few_threads_leave_no_thread(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives fewer threads than there are instances, those that did start end again."""
    batcher = _batcher(clock, None, None, None)
    before, starts, start = threading.active_count(), [0], threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        starts[0] += 1
        if starts[0] > 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        batcher.start()
    assert threading.active_count() == before


def test_a_warm_up_can_be_given_up(clock: Clock) -> None:
    """Whoever starts a batcher can end that between two warm-up runs, and no thread is left."""
    workshop, before = Workshop(clock, lambda _rows: 1.0), threading.active_count()
    batcher = Batcher("model", [WorkshopInstance(workshop, 0)], BatchingPolicy(4), lambda _rows, _execution: None)
    with pytest.raises(ShuttingDown):
        batcher.start(lambda: len(workshop.warmed) == 5)
    assert [rows for _, rows in workshop.warmed] == [1, 1, 2, 2, 3]
    assert threading.active_count() == before
    assert not batcher.alive


def test_an_instance_that_fails_ends_the_warm_up_of_the_others(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is told although the one before it is not done, which ends after the run that it is in."""
    workshop = Workshop(clock, lambda _rows: 1.0)
    slow, unfit = WorkshopInstance(workshop, 0), WorkshopInstance(workshop, 1, ValueError("unfit"))
    batcher = Batcher("model", [slow, unfit], BatchingPolicy(4), lambda _rows, _execution: None)
    runs = []

    def warm_up(rows: int) -> bool:
        runs.append(rows)
        with batcher._changed:
            assert batcher._changed.wait_for(lambda: not batcher._accepting, HANGING_SECONDS)
        return True

    monkeypatch.setattr(slow, "warm_up", warm_up)
    with pytest.raises(ValueError, match="unfit"):
        batcher.start()
    assert runs in ([], [1])  # it may not even have begun
    assert not batcher.alive


def _batcher(clock: Clock, *unfit: BaseException | None) -> Batcher[str, str]:
    """A batcher that is not started, with an instance for each of `unfit`."""
    workshop = Workshop(clock, lambda _rows: 1.0)
    instances = [WorkshopInstance(workshop, number, error) for number, error in enumerate(unfit)]
    return Batcher("model", instances, BatchingPolicy(), lambda _rows, _execution: None)
