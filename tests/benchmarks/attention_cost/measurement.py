"""The whole measurement: export, the engine's rounds, and then the rounds of real servers."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.report.numbers import milliseconds, number
from tests.benchmarks.attention_cost.costs import Costs
from tests.benchmarks.attention_cost.engine_cost import engine_rounds
from tests.benchmarks.attention_cost.members import describe, export, model_name
from tests.benchmarks.attention_cost.rounds import turns
from tests.benchmarks.attention_cost.served_cost import served_round

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.attention_cost.costs import ServedRound, Settings

_GUESS_SHARE = 0.6  # of what the cores can do if nothing else takes their time


def measure(names: Sequence[str], settings: Settings, machine: dict[str, Any]) -> Costs:
    """Measure the members `names`, the first of which has no attention.

    Raises:
        RuntimeError: A member cannot be exported or served.
        loadtest.target.TargetError: A server cannot be reached.
        loadtest.session.Interrupted: Somebody asked to stop.
    """
    with tempfile.TemporaryDirectory(prefix="attention-cost-") as folder:
        repositories = {name: Path(folder) / name for name in names}
        for name, repository in repositories.items():
            tell(f"exporting {name}")
            export(name, settings, repository)
        tell(f"the engine: {settings.engine_rounds} rounds")
        models = {name: repository / model_name(name, settings) for name, repository in repositories.items()}
        engine = engine_rounds(models, settings)
        served = _served_rounds(repositories, settings, engine)
    return Costs(settings, machine, tuple(describe(name, settings) for name in names), engine, served)


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"attention-cost: {text}", file=sys.stderr, flush=True)


def _served_rounds(
    repositories: Mapping[str, Path], settings: Settings, engine: Mapping[str, Sequence[Mapping[int, float]]]
) -> dict[str, list[ServedRound]]:
    guesses = {name: _GUESS_SHARE * _most_rate(rounds) for name, rounds in engine.items()}
    served: dict[str, list[ServedRound]] = {name: [] for name in repositories}
    started, total = time.monotonic(), settings.rounds * len(repositories)
    for done, (round_number, name) in enumerate(turns(list(repositories), settings.rounds, settings.seed), 1):
        found = served_round(repositories[name], name, settings, round_number, guesses[name])
        guesses[name] = found.images_per_second or guesses[name]
        served[name].append(found)
        left = (time.monotonic() - started) / done * (total - done) / 60
        tell(f"round {round_number + 1} of {settings.rounds}, {name}: {_line(found, settings)}; {left:.0f} min left")
    return served


def _most_rate(rounds: Sequence[Mapping[int, float]]) -> float:
    """Images a second if all cores did nothing but execute the cheapest batches."""
    return len(os.sched_getaffinity(0)) * 1e3 / min(min(costs.values()) for costs in rounds)


def _line(found: ServedRound, settings: Settings) -> str:
    text = f"p50 {milliseconds(found.p50_ms)}, p99 {milliseconds(found.p99_ms)} at {number(settings.rate)}/s"
    if settings.probe_seconds:
        text += f", {number(found.images_per_second)} images/s at the objective"
    return text
