"""The page: picture, sentences, tables, and how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.numbers import number
from tests.benchmarks.attention_cost.sentences import sentences
from tests.benchmarks.attention_cost.table import engine_table, served_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.attention_cost.comparison import Comparison
    from tests.benchmarks.attention_cost.costs import Settings

NETWORK_NAMES = {
    "mobilenetv2": "MobileNetV2",
    "mobilenext": "MobileNeXt",
    "shufflenetv2": "ShuffleNetV2",
    "airbench": "Airbench",
}

_HOW_TO_READ = (
    "Numbers are medians over the rounds, with their 95 % interval in brackets (of fewer than six rounds: the least and"
    " the greatest); ratios are taken within each round."
)


def document(comparison: Comparison, picture: str) -> str:
    """The Markdown of the page; `picture` is the plot's file beside it."""
    settings = comparison.costs.settings
    parts = [
        "# What attention costs",
        f"![What attention costs]({picture})",
        *sentences(comparison),
        f"{subject(settings)}; nothing differs but the attention. {_HOW_TO_READ}",
        engine_table(comparison).markdown().rstrip(),
        served_table(comparison).markdown().rstrip(),
        "## How it was measured",
        "\n".join(f"- {line}" for line in _method(comparison)),
    ]
    return "\n\n".join(parts) + "\n"


def subject(settings: Settings) -> str:
    """The network that all members share."""
    name = NETWORK_NAMES.get(settings.network, settings.network)
    return f"{name} {_width(settings.width)} at {settings.size}x{settings.size} in {settings.precision}"


def _width(width: float) -> str:
    """As papers write it: 1.0, 0.75."""
    return str(float(f"{width:.4g}"))


def _method(comparison: Comparison) -> Iterator[str]:
    costs, settings = comparison.costs, comparison.costs.settings
    yield (
        f"Engine: {_count(settings.engine_rounds)} of the server's own engine with one thread, in CPU time."
        " In each round all members take turns, in a drawn order that the next round has backwards."
    )
    yield (
        f"Served: {_count(settings.rounds)}, likewise; in each a fresh `python -m server` for every member, over gRPC,"
        f" warmed up, then Poisson arrivals of {number(settings.rate)} images a second for"
        f" {number(settings.seconds)} s, the same instants for all. Latencies count from the instant at which a request"
        " was due; CPU is that of the whole server process."
    )
    if settings.probe_seconds:
        yield (
            f"Images a second within the objective: the highest rate, on a ladder of 5 % steps, at which 99 of 100"
            f" requests were seen to be answered in {number(settings.objective_ms)} ms during"
            f" {number(settings.probe_seconds)} s. `python -m loadtest search` takes longer, and proves it."
        )
    yield "Weights are fresh ones: what they are changes no cost. The load comes from the same machine, for all alike."
    yield _machine(costs.machine)
    yield from _doubts(comparison)


def _count(rounds: int) -> str:
    return "one round" if rounds == 1 else f"{rounds} rounds"


def _machine(machine: dict[str, object]) -> str:
    packages = machine.get("packages")
    torch = packages.get("torch") if isinstance(packages, dict) else None
    processor = machine.get("processor") or "unknown"
    return (
        f"Machine: {processor}, {machine.get('cores')} cores; Python {machine.get('python')}, PyTorch {torch}."
        f" Command: `{machine.get('command')}`."
    )


def _doubts(comparison: Comparison) -> Iterator[str]:
    """What may have spoiled a round, with its own words."""
    for name, rounds in comparison.costs.served.items():
        for place, found in enumerate(rounds, 1):
            for text in found.doubts:
                yield f"Doubtful: {name} in round {place}: {text}."
