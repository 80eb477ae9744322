"""What attention costs: `python -m tests.benchmarks.attention_cost`, or `make attention-cost`.

The attention family in one network, exported with the same settings: CPU time of the engine, and what each costs when
it is served by a real server. All members take turns in every round, so that what disturbs the machine hits all.
Writes attention-cost.md, .svg and .json.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.address import Address
from loadtest.arguments import duration, positive, whole
from loadtest.environment import environment
from loadtest.session import Interrupted
from loadtest.target import Target, TargetError
from modeling.attention import ATTENTION
from modeling.command import seed
from modeling.network import NETWORKS
from tests.benchmarks.attention_cost.costs import NONE, Costs, Settings
from tests.benchmarks.attention_cost.files import write
from tests.benchmarks.attention_cost.measurement import measure, tell
from tests.benchmarks.attention_cost.members import USUAL

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR = 2
INTERRUPTED = 130
_USUAL = Settings()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; the exit status is 0, 1 when something failed, 2 for wrong options, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    try:
        options.output.mkdir(parents=True, exist_ok=True)  # what cannot be written is better known before
        costs = Costs.from_json(options.redraw.read_text(encoding="utf-8")) if options.redraw else _measure(options)
        print("\n".join(str(path) for path in write(options.output, costs)))
    except (KeyboardInterrupt, Interrupted):
        tell("interrupted; nothing was written")
        return INTERRUPTED
    except (RuntimeError, TargetError) as error:
        tell(f"{error}; nothing was written")
        return 1
    except (OSError, ValueError) as error:
        tell(str(error))
        return USAGE_ERROR
    return 0


def _measure(options: argparse.Namespace) -> Costs:
    settings = Settings(
        network=options.network,
        width=options.width,
        size=options.size,
        precision=options.precision,
        engine_rounds=options.engine_rounds,
        rounds=options.rounds,
        rate=options.rate,
        seconds=options.duration,
        objective_ms=options.objective * 1e3,
        probe_seconds=0.0 if options.no_search else options.probe,
        seed=options.seed,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers that run must be ended, too
    names = [NONE, *(name for name in options.attention if name != NONE)]
    return measure(names, settings, _machine(options))


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    """On what it is measured, but for the machine's name."""
    told: dict[str, Any] = environment(Target(Address(""), "", "", "uint8", ()), options)
    return {name: value for name, value in told["environment"].items() if name != "host"} | {"began": told["written"]}


def _attentions(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in ATTENTION]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(ATTENTION)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.attention_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--attention", type=_attentions, default=list(USUAL), help=f"beside none (default {','.join(USUAL)})")
    add("--network", choices=NETWORKS, default=_USUAL.network, help="default %(default)s")
    add("--width", type=positive, default=_USUAL.width, help="multiplies its channels (default %(default)g)")
    add("--size", type=whole, default=_USUAL.size, help="height and width of the images (default %(default)s)")
    add("--precision", choices=("fp32", "bf16"), default=_USUAL.precision, help="default %(default)s")
    add("--engine-rounds", type=whole, default=_USUAL.engine_rounds, help="of all in the engine (default %(default)s)")
    add("--rounds", type=whole, default=_USUAL.rounds, help="of all as they are served (default %(default)s)")
    add("--rate", type=positive, default=_USUAL.rate, help="requests a second for all (default %(default)g)")
    add("--duration", type=duration, default=_USUAL.seconds, help="of that in each round (default %(default)gs)")
    add("--objective", type=duration, default=_USUAL.objective_ms / 1e3, help="for the 99th percentile (default 100ms)")
    add("--probe", type=duration, default=_USUAL.probe_seconds, help="of each rate on the way (default %(default)gs)")
    add("--no-search", action="store_true", help="do not look for the images a second at the objective")
    add("--seed", type=seed, default=_USUAL.seed, help="of weights, orders and arrivals (default %(default)s)")
    add("--output", type=Path, default=Path("docs"), metavar="DIR", help="for the three files (default docs)")
    add("--redraw", type=Path, metavar="JSON", help="measure nothing: write page and plot of these numbers again")
    return parser
