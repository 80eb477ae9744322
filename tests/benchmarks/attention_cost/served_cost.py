"""What each member costs where it is served: a server process of its own, over gRPC, with load from outside."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from loadtest.address import Address
from loadtest.images import make_images
from loadtest.objective import Objective
from loadtest.options import Options
from loadtest.payloads import Mix, make_workload
from loadtest.percentiles import percentiles_ms
from loadtest.server_process import serve
from loadtest.session import Session
from loadtest.target import find_target
from loadtest.validity import conditions
from tests.benchmarks.attention_cost.costs import ServedRound
from tests.benchmarks.attention_cost.ladder import highest_rung
from tests.benchmarks.attention_cost.members import model_name

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.run import Run
    from tests.benchmarks.attention_cost.costs import Settings

_PICTURES = 16
_WARM_UP_SECONDS = 10.0
_STEP = 1.05  # from a rate that is probed to the next
_LEAST_SHARE, _MOST_SHARE = 0.1, 20.0  # of the offered rate: nothing is probed below or above


def served_round(repository: Path, attention: str, settings: Settings, number: int, guess_rate: float) -> ServedRound:
    """Serve a member, offer it the load of a round, and end the server.

    Args:
        repository: Holds this member alone.
        attention: The member.
        settings: What is offered.
        number: The round's: it has arrivals of its own, the same ones for all members.
        guess_rate: Where to begin looking for the images a second that keep the objective.

    Raises:
        RuntimeError: The server does not start.
        loadtest.target.TargetError: It cannot be reached.
        loadtest.session.Interrupted: Somebody asked to stop.
    """
    model = model_name(attention, settings)
    with serve("python", repository, model) as served:
        target = find_target(Address(served.url), (model,), "uint8")
        workload = make_workload(target, make_images(settings.seed, _PICTURES), Mix())
        options = Options(server_pid=served.process.pid, warm_up_seconds=_WARM_UP_SECONDS)
        with Session(target, workload, options) as session:
            session.warm_up(settings.rate)
            seed = settings.seed + number
            run = session.probe(settings.rate, settings.seconds, seed)
            guess_rate = guess_rate if _objective(settings).observed_met(run.trace) else settings.rate / 2
            rate = _rate_at_objective(session, settings, seed, guess_rate) if settings.probe_seconds else None
    return _summary(run, rate, settings)


def _rate_at_objective(session: Session, settings: Settings, seed: int, guess_rate: float) -> float | None:
    """The highest rate on a ladder that is seen to keep the objective, requests a second."""
    objective = _objective(settings)

    def holds(rung: int) -> bool:
        return objective.observed_met(session.probe(_rate(rung, settings), settings.probe_seconds, seed).trace)

    share = guess_rate / settings.rate
    rung = highest_rung(holds, _rung(share), _rung(_LEAST_SHARE), _rung(_MOST_SHARE))
    return None if rung is None else _rate(rung, settings)


def _rung(share: float) -> int:
    return round(math.log(share, _STEP))


def _rate(rung: int, settings: Settings) -> float:
    return settings.rate * _STEP**rung


def _objective(settings: Settings) -> Objective:
    return Objective(settings.objective_ms / 1e3)


def _summary(run: Run, rate: float | None, settings: Settings) -> ServedRound:
    percentiles = percentiles_ms(run.trace.response_seconds)
    doubts = [item.text for item in conditions(run, _objective(settings)) if not item.valid]
    if rate == _rate(_rung(_MOST_SHARE), settings):
        doubts.append(f"it carries {rate:.4g} images a second or more, beyond which nothing was tried")
    return ServedRound(
        cpu_ms=run.server_cpu_ms,
        p50_ms=percentiles["p50"],
        p99_ms=percentiles["p99"],
        requests=len(run.trace),
        failed=int(np.count_nonzero(~run.trace.ok)),
        images_per_second=rate,
        doubts=tuple(doubts),
    )
