"""Are callers well served, and if not, why: clear rules, from what happened within the last seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.live.memory import growth
from server.live.outcomes import REASONS
from server.live.situation import Finding, Level, Phase, Situation
from server.live.wording import duration, mebibytes, percent, rate
from server.model_states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.live.counts import Counts
    from server.live.reading import ModelReading

# Shares of requests from which on something is told. The objective is for 99 of 100.
_FAILED, _REJECTED, _SLOW = 0.01, 0.01, 0.01
_INVALID, _CANCELLED = 0.05, 0.1
# From here on callers are not well served at all.
_MOSTLY_SLOW = 0.1
# One of few requests is no share: so many must have ended so.
_SEVERAL = 3
_QUEUE_FILLS = 0.5
_LAG_SECONDS = 0.2
# Times what it took before.
_SLOWER = 1.5
_MACHINE_BUSY, _MOSTLY_OTHERS = 0.9, 0.6

_PLACES = {
    "decode": "is spent on decoding images",
    "queue": "is spent on waiting for an instance",
    "compute": "is spent inside the model",
    "rest": "is spent outside of queue and model, on the way through this process",
}
# An ensemble runs nothing itself, and has no queue.
_ENSEMBLE_PLACES = {
    "compute": "is spent inside the models of its steps",
    "rest": "is spent outside of its steps' models, most likely in their queues",
}


def judge(now: Situation) -> list[Finding]:
    """What there is to know, the worst first, and of what is as bad, what callers feel; always at least one finding."""
    rules = (_life, _dead, _failures, _rejections, _slowness, _queues, _not_served, _callers, _process)
    findings = [finding for rule in rules for finding in rule(now)]
    return sorted(findings, key=lambda finding: -finding.level) or [_all_is_well(now)]


def _life(now: Situation) -> Iterator[Finding]:
    if now.phase is Phase.STARTING:
        yield Finding(Level.WAIT, "Starting", "Models are being loaded and warmed up; the server is not ready yet.")
    elif now.phase is Phase.STOPPING:
        yield Finding(Level.WAIT, "Stopping", "Not ready any more; what was accepted is still being answered.")
    elif now.phase is Phase.NOT_READY:
        yield Finding(Level.BAD, "Not ready", "Too few models could be loaded: load balancers send nothing here.")


def _dead(now: Situation) -> Iterator[Finding]:
    for name in now.ended:
        reason = f"An instance of {name} has ended unexpectedly: it serves nothing until it is loaded again."
        yield Finding(Level.BAD, "Instance dead", f"{reason} The server says that it is not ready.")


def _failures(now: Situation) -> Iterator[Finding]:
    failed, share = _share(now, "failed")
    if failed >= _SEVERAL and share >= _FAILED:
        culprits = ", ".join(model.name for model, counts in _that_run(now) if counts.failures["BACKEND"])
        where = f"inside {culprits}" if culprits else "in this server"
        told = f"{percent(share)} of requests, {rate(failed, now.activity.seconds)}, fail {where}; the log tells more."
        yield Finding(Level.BAD, "Failing", told)


def _rejections(now: Situation) -> Iterator[Finding]:
    rejected, share = _share(now, "rejected")
    if rejected < _SEVERAL or share < _REJECTED:
        return
    told = f"{percent(share)} of requests, {rate(rejected, now.activity.seconds)}, are rejected"
    model, counts = max(_that_run(now), key=lambda each: each[1].failures["REJECTED"], default=(None, None))
    if now.activity.refused["queue_full"] and model and counts and model.waiting >= _QUEUE_FILLS * model.capacity:
        answered = rate(counts.succeeded, now.activity.seconds)
        yield Finding(
            Level.BAD,
            "Overloaded",
            f"{told}: the queue of {model.name} is full, {model.waiting} of {model.capacity} wait. {_at_work(model)}"
            f" and answer {answered}; more arrives.",
        )
    elif now.activity.refused["queue_full"]:
        where = "as many images wait to be decoded, or arrive at once, as may, or a queue was full for a moment"
        yield Finding(Level.BAD, "Overloaded", f"{told}: {where}.")
    elif now.activity.refused["deadline"] or now.activity.refused["queue_timeout"]:
        late = "they could not be answered by their deadline, or waited for longer than their queue allows"
        yield Finding(Level.BAD, "Rejecting", f"{told}: {late}. {_at_work(model) if model else 'No instance works'}.")
    else:
        reasons = [reason for reason in REASONS["rejected"] if now.activity.refused[reason]]
        why = "They ask for what does not serve now" if reasons == ["not_ready"] else "This server cannot take them now"
        yield Finding(Level.BAD, "Rejecting", f"{told}: {', '.join(reasons)}. {why}.")


def _slowness(now: Situation) -> Iterator[Finding]:
    shares = ((model, counts, counts.share_above(now.objective_seconds)) for model, counts in now.activity.models)
    late = ((model, counts, share, round(share * counts.succeeded)) for model, counts, share in shares)
    slow = [each for each in late if each[2] > _SLOW and each[3] >= _SEVERAL]
    if not slow:
        return
    # Of an ensemble and its step that are as late, the step is it that takes the time.
    model, counts, share, _ = max(slow, key=lambda each: (each[2] > _MOSTLY_SLOW, each[3], each[0].instances))
    told = f"{percent(share)} of the answers of {model.name} take longer than {duration(now.objective_seconds)}"
    if p99 := counts.quantile(0.99):
        told += f"; p99 is {duration(p99.value)}"
    level = Level.BAD if share > _MOSTLY_SLOW else Level.WARN
    yield Finding(level, "Slow", f"{told}. {_where_time_goes(now, model, counts)}")


def _where_time_goes(now: Situation, model: ModelReading, counts: Counts) -> str:
    stages = counts.mean_stages()
    most = max(stages, key=lambda stage: stages[stage])
    place = _PLACES[most] if model.instances else _ENSEMBLE_PLACES.get(most, _PLACES[most])
    told = f"Most of it, {duration(stages[most])} of {duration(sum(stages.values()))}, {place}"
    if most == "queue":
        told += f": {_at_work(model).lower()}"
    usual = now.usual_compute_seconds.get(model.statistics)
    if usual and stages["compute"] > usual * _SLOWER:
        told += f". The model takes {duration(stages['compute'])}; before, it took {duration(usual)}"
    if now.activity.machine_share > _MACHINE_BUSY and now.activity.process_cores < _MOSTLY_OTHERS * now.cores:
        told += ". Other processes keep this machine's processors busy"
    return told + "."


def _queues(now: Situation) -> Iterator[Finding]:
    for model, _ in now.activity.models:
        if model.waiting >= max(model.capacity * _QUEUE_FILLS, _SEVERAL):
            told = f"{model.waiting} of {model.capacity} requests that may wait for {model.name} do. {_at_work(model)}."
            yield Finding(Level.WARN, "Queue fills", told)


def _not_served(now: Situation) -> Iterator[Finding]:
    serves = any(entry.state is State.READY for entry in now.index)
    for entry in now.index:
        if entry.state is State.UNAVAILABLE and entry.reason not in ("", "unloaded") and entry.name not in now.ended:
            level = Level.WARN if serves else Level.BAD
            yield Finding(level, f"Model {entry.name} is not served", entry.reason)


def _callers(now: Situation) -> Iterator[Finding]:
    invalid, share = _share(now, "invalid")
    if invalid >= _SEVERAL and share >= _INVALID:
        reasons = ("invalid_image", "invalid", "too_large", "not_found", "unsupported")
        counts = ((reason, now.activity.refused[reason]) for reason in reasons)
        told = ", ".join(f"{reason} {rate(count, now.activity.seconds)}" for reason, count in counts if count)
        yield Finding(
            Level.WARN, "Bad input", f"{percent(share)} of requests are refused for what the caller sent: {told}."
        )
    left, share = _share(now, "cancelled")
    if left >= _SEVERAL and share >= _CANCELLED:
        yield Finding(Level.WARN, "Callers leave", f"{percent(share)} of requests are cancelled by their callers.")


def _process(now: Situation) -> Iterator[Finding]:
    if now.lag_seconds >= _LAG_SECONDS:
        told = f"The event loop was held up for {duration(now.lag_seconds)}; nothing is received or sent meanwhile."
        yield Finding(Level.WARN, "Event loop blocked", told)
    if grown := growth(now.resident_bytes):
        first, last = mebibytes(grown.first), mebibytes(grown.last)
        told = f"From {first} to {last} in {duration(grown.seconds)}, steadily: this looks like a leak."
        yield Finding(Level.WARN, "Memory grows", told)


def _all_is_well(now: Situation) -> Finding:
    p99 = now.activity.asked.quantile(0.99)
    if p99 is None:
        last = f"No request was answered in the last {now.activity.seconds:.0f} s."
        return Finding(Level.IDLE, "Ready, nobody is asking", last)
    answered = f"{rate(now.activity.asked.succeeded, now.activity.seconds)} are answered; p99 is {duration(p99.value)}"
    objective = f"the objective of {duration(now.objective_seconds)}"
    if p99.value > now.objective_seconds:
        return Finding(Level.OK, "Serving well", f"{answered}, above {objective}, but few answers were late.")
    return Finding(Level.OK, "Serving well", f"{answered}, within {objective}.")


def _that_run(now: Situation) -> list[tuple[ModelReading, Counts]]:
    """All but ensembles, which run nothing themselves and count what befalls their steps once more."""
    return [(model, counts) for model, counts in now.activity.models if model.instances]


def _share(now: Situation, outcome: str) -> tuple[int, float]:
    """How many requests ended so, and which share of all."""
    outcomes = now.activity.outcomes
    return outcomes[outcome], outcomes[outcome] / max(sum(outcomes.values()), 1)


def _at_work(model: ModelReading) -> str:
    if model.busy < model.instances:
        return f"{model.busy} of {model.instances} instances work"
    return f"All {model.instances} instances work" if model.instances > 1 else "Its only instance works"
