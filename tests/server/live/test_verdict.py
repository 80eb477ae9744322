from __future__ import annotations

import pytest

from server.live.situation import Finding, Level, Phase
from server.live.verdict import judge
from server.model_states import IndexEntry, State
from tests.server.live.situations import counts, model, situation

MIB = 1 << 20


def first(*arguments: object, **more: object) -> Finding:
    """The headline of a situation."""
    return judge(situation(*arguments, **more))[0]  # type: ignore[arg-type] # passed on as they are


def test_a_server_that_answers_in_time_serves_well() -> None:
    """The good verdict names the rate, the percentile and what it is measured against."""
    finding = first((model(), counts(fast=400)))
    assert (finding.level, finding.title) == (Level.OK, "Serving well")
    assert finding.reason == "40.0/s are answered; p99 is 10.0 ms, within the objective of 100 ms."


def test_silence_is_no_fault() -> None:
    """Without requests the server is ready, and nothing is wrong."""
    finding = first((model(), counts()))
    assert (finding.level, finding.title) == (Level.IDLE, "Ready, nobody is asking")


@pytest.mark.parametrize(
    ("phase", "title", "level"),
    [
        (Phase.STARTING, "Starting", Level.WAIT),
        (Phase.STOPPING, "Stopping", Level.WAIT),
        (Phase.NOT_READY, "Not ready", Level.BAD),
    ],
)
def test_the_life_of_the_server_is_told(phase: Phase, title: str, level: Level) -> None:
    """A server that starts, stops or cannot serve says so first."""
    finding = first(phase=phase)
    assert (finding.title, finding.level) == (title, level)


def test_a_dead_instance_is_named() -> None:
    """The model that lost an instance is in the reason, and not told a second time as one that did not load."""
    ended = IndexEntry("net", 1, State.UNAVAILABLE, "an instance of it has ended unexpectedly")
    [finding] = [each for each in judge(situation(index=[ended], ended=["net"])) if each.level is Level.BAD]
    assert finding.title == "Instance dead"
    assert "An instance of net has ended" in finding.reason


def test_a_model_that_failed_to_load_is_named_with_its_reason() -> None:
    """It is bad where nothing else serves, and a warning beside models that do; one that was unloaded is no fault."""
    broken = IndexEntry("broken", 1, State.UNAVAILABLE, "no TorchScript archive")
    unloaded = IndexEntry("old", 1, State.UNAVAILABLE, "unloaded")
    alone, beside = first(index=[broken, unloaded]), first((model(), counts(fast=9)), index=[broken, unloaded])
    assert alone == Finding(Level.BAD, "Model broken is not served", "no TorchScript archive")
    assert beside.level is Level.WARN


def test_a_model_that_fails_is_named() -> None:
    """Errors of ours come with their share, their rate and the model."""
    finding = first((model("good"), counts(fast=90)), (model("bad"), counts(BACKEND=10)), refused={"model": 10})
    assert (finding.level, finding.title) == (Level.BAD, "Failing")
    assert finding.reason == "10 % of requests, 1.0/s, fail inside bad; the log tells more."


def test_the_step_that_fails_is_named_and_not_its_ensemble() -> None:
    """An ensemble runs nothing itself: what fails in it is counted with it, too, but happens inside a step's model."""
    failing = counts(fast=90, BACKEND=10)
    finding = first((model("all", instances=0), failing), (model("step"), failing), refused={"model": 10})
    assert "fail inside step;" in finding.reason


def test_a_full_queue_is_overload() -> None:
    """The queue, what works on it, what it answers and what is rejected are told."""
    full = model("net", waiting=64, capacity=64, busy=2)
    finding = first((full, counts(fast=300, REJECTED=100)), refused={"queue_full": 100})
    assert (finding.level, finding.title) == (Level.BAD, "Overloaded")
    assert finding.reason == (
        "25 % of requests, 10.0/s, are rejected: the queue of net is full, 64 of 64 wait."
        " All 2 instances work and answer 30.0/s; more arrives."
    )


def test_overload_behind_an_ensemble_is_that_of_its_step() -> None:
    """An ensemble has neither queue nor instances, so the step's queue is the one that is full."""
    all_of_it, full = model("all", instances=0), model("step", waiting=64, capacity=64, busy=1, instances=1)
    rejected = counts(fast=300, REJECTED=100)
    finding = first((all_of_it, rejected), (full, rejected), refused={"queue_full": 100})
    assert "the queue of step is full, 64 of 64 wait. Its only instance works" in finding.reason


def test_a_full_decoder_is_not_blamed_on_a_queue() -> None:
    """Where the model's queue has room, what is refused for fullness waited elsewhere."""
    finding = first((model("net", waiting=0, capacity=64), counts(fast=300, REJECTED=100)), refused={"queue_full": 100})
    assert finding.title == "Overloaded"
    assert "wait to be decoded" in finding.reason


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ({"not_ready": 10, "invalid_image": 1}, "not_ready. They ask for what does not serve now."),
        ({"unavailable": 10, "cancelled": 1}, "unavailable. This server cannot take them now."),
    ],
)
def test_only_what_was_rejected_is_told_as_such(refused: dict[str, int], told: str) -> None:
    """What callers sent or did themselves is no reason of a rejection."""
    finding = first((model(), counts(fast=50)), refused=refused)
    assert finding.title == "Rejecting"
    assert finding.reason.endswith(f"are rejected: {told}")


def test_deadlines_that_cannot_be_met_are_told() -> None:
    """Requests that come too late for their deadline are rejected, not failed."""
    finding = first((model(busy=2), counts(fast=50, REJECTED=50)), refused={"deadline": 50})
    assert finding.title == "Rejecting"
    assert "by their deadline" in finding.reason


@pytest.mark.parametrize(
    ("stage", "told"), [("compute", "inside the model"), ("queue", "waiting for an instance"), ("decode", "decoding")]
)
def test_slowness_comes_with_where_the_time_goes(stage: str, told: str) -> None:
    """More than one answer of a hundred beyond the objective is slow, and the stage that takes most is named."""
    finding = first((model("net", busy=2), counts(fast=100, slow=100, stage=stage)), (model("other"), counts(fast=500)))
    assert (finding.level, finding.title) == (Level.BAD, "Slow")
    assert finding.reason.startswith("50 % of the answers of net take longer than 100 ms; p99 is 298 ms.")
    assert told in finding.reason


def test_some_slow_answers_are_a_warning() -> None:
    """A few of a hundred are less than what makes callers leave, and one of a hundred is within the objective."""
    assert first((model(), counts(fast=97, slow=3))).level is Level.WARN
    assert first((model(), counts(fast=396, slow=4))).title == "Serving well"


def test_a_slow_model_is_seen_beside_a_busy_one() -> None:
    """Few of very many late answers are within the objective, and hide no model of which many are late."""
    finding = first((model("busy"), counts(fast=99_950, slow=50)), (model("slow"), counts(fast=60, slow=40)))
    assert (finding.level, finding.title) == (Level.BAD, "Slow")
    assert finding.reason.startswith("40 % of the answers of slow take longer than 100 ms")


def test_of_several_slow_models_the_worst_is_told() -> None:
    """First those that are mostly slow, then the one that is late most often, and a step before its ensemble."""
    some = model("some"), counts(fast=1900, slow=100)
    mostly = model("mostly"), counts(slow=40)
    ensemble = model("ensemble", instances=0), counts(slow=40)
    assert " of mostly take " in first(some, ensemble, mostly).reason
    assert " of some take " in first((model("few"), counts(fast=95, slow=5)), some).reason


@pytest.mark.parametrize(
    ("stage", "told"), [("compute", "inside the models of its steps"), ("rest", "in their queues")]
)
def test_the_time_of_an_ensemble_is_that_of_its_steps(stage: str, told: str) -> None:
    """Where each step is quick enough and all together are not, nothing is said of a model or queue of its own."""
    finding = first((model("all", instances=0), counts(slow=100, stage=stage)), (model("step"), counts(fast=100)))
    assert told in finding.reason


def test_a_model_that_has_become_slow_is_told_from_one_that_always_was() -> None:
    """What compute took in the minutes before is compared."""
    net, other = model(), model("other")
    now = (net, counts(slow=100))
    assert "before, it took 20 ms" in first(now, usual_compute_seconds={net.statistics: 0.02}).reason
    assert "before" not in first(now, usual_compute_seconds={net.statistics: 0.25, other.statistics: 0.02}).reason


def test_a_machine_that_others_keep_busy_is_told() -> None:
    """Slowness that comes from outside is not blamed on the model."""
    now = (model(), counts(slow=100))
    assert "Other processes" in first(now, process_cores=0.4, machine_share=0.99).reason
    assert "Other processes" not in first(now, process_cores=1.9, machine_share=0.99).reason


def test_one_caller_with_bad_input_is_no_fault_of_the_server() -> None:
    """What callers sent wrongly is told by reason, as a warning."""
    finding = first((model(), counts(fast=80)), refused={"invalid_image": 15, "not_found": 5})
    assert (finding.level, finding.title) == (Level.WARN, "Bad input")
    assert (
        finding.reason == "20 % of requests are refused for what the caller sent: invalid_image 1.5/s, not_found 0.5/s."
    )


def test_callers_that_leave_are_told() -> None:
    """Many cancelled requests are a sign of impatience."""
    assert first((model(), counts(fast=50)), refused={"cancelled": 50}).title == "Callers leave"


def test_a_queue_that_fills_is_told_before_it_is_full() -> None:
    """Half of the limit is early enough to look."""
    assert first((model(waiting=40, busy=2), counts(fast=50))).title == "Queue fills"
    assert first((model(waiting=10, busy=2), counts(fast=50))).title == "Serving well"


def test_a_blocked_event_loop_is_told() -> None:
    """Whoever talks to the server meanwhile waits."""
    assert first((model(), counts(fast=50)), lag_seconds=0.7).title == "Event loop blocked"


def test_a_leak_is_told() -> None:
    """Memory that rises steadily is named with its figures."""
    finding = first((model(), counts(fast=50)), resident_bytes=[(400 + second) * MIB for second in range(120)])
    assert (finding.title, finding.reason) == (
        "Memory grows",
        "From 400 MiB to 519 MiB in 120.0 s, steadily: this looks like a leak.",
    )


def test_one_stray_failure_is_no_verdict() -> None:
    """A single request that went wrong among few says nothing of the others."""
    now = (model(), counts(fast=5, slow=1, BACKEND=1))
    assert first(now, refused={"model": 1, "queue_full": 1, "invalid": 1, "cancelled": 1}).title == "Serving well"


def test_what_is_told_of_the_objective_is_true() -> None:
    """Late answers that are too few for a verdict do not make a p99 one that is within the objective."""
    finding = first((model(), counts(fast=50, slow=2)))
    assert finding.title == "Serving well"
    assert (
        finding.reason == "5.2/s are answered; p99 is 274 ms, above the objective of 100 ms, but few answers were late."
    )


def test_only_what_is_answered_is_called_so() -> None:
    """Requests that failed, too few to matter, are not among the answers that the good verdict tells of."""
    assert first((model(), counts(fast=400)), refused={"invalid": 2}).reason.startswith("40.0/s are answered; ")


def test_the_worst_comes_first() -> None:
    """Several findings are ordered by what they mean for callers."""
    broken = IndexEntry("broken", 1, State.UNAVAILABLE, "no archive")
    full = (model(waiting=64, busy=2), counts(fast=50, slow=50, REJECTED=50))
    found = judge(situation(full, index=[broken], refused={"queue_full": 50}))
    assert [each.title for each in found] == ["Overloaded", "Slow", "Queue fills", "Model broken is not served"]
