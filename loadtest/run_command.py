"""`python -m loadtest run SCENARIO`: offer load and tell how it was served."""

from __future__ import annotations

import math
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.arguments import add_load_arguments, duration, metrics_url, objective, positive
from loadtest.conduct import conduct
from loadtest.replay_file import read_instants
from loadtest.scenarios import SCENARIOS, Plan
from loadtest.schedule import SCHEDULES
from loadtest.server_memory import find_metric

if TYPE_CHECKING:
    import argparse

    from loadtest.objective import Objective
    from loadtest.scenarios import Scenario

_SECONDS = 30.0
_WITHOUT_RATE = ("single", "offline", "sweep")
_PLENTY = 10  # times the requests that are needed: enough under any schedule


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `run`."""
    parser = commands.add_parser("run", help="run one scenario")
    texts = "; ".join(f"{name}: {scenario.text}" for name, scenario in SCENARIOS.items()).replace("%", "%%")
    parser.add_argument("scenario", choices=SCENARIOS, metavar="SCENARIO", help=texts)
    parser.add_argument("--rate", type=positive, help="requests a second (default 20, or what the scenario finds)")
    parser.add_argument("--duration", type=duration, help="of each run: 30s, 2m (default 30s)")
    parser.add_argument("--schedule", type=Path, metavar="FILE", help="instants to replay: one a line, in seconds")
    parser.add_argument(
        "--metrics-url", type=metrics_url, help="HOST:PORT of the server's metrics: soak watches memory"
    )
    add_load_arguments(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run a scenario; exit status 0 met, 1 missed, 3 invalid, 2 usage."""
    scenario = SCENARIOS[arguments.scenario]
    return conduct(arguments, scenario, lambda: _plan(arguments, scenario))


def _plan(arguments: argparse.Namespace, scenario: Scenario) -> Plan:
    """What the user asks for.

    Raises:
        ValueError: It cannot be measured.
    """
    rate, seconds = arguments.rate or scenario.rate, arguments.duration or _SECONDS
    if arguments.rate and arguments.scenario in _WITHOUT_RATE:
        raise ValueError(f"in {arguments.scenario} callers wait for their answers: it takes no --rate")
    if arguments.duration and arguments.scenario == "replay":
        raise ValueError("a replay is as long as its instants and --rate say: it takes no --duration")
    if arguments.metrics_url and arguments.scenario != "soak":
        raise ValueError("--metrics-url is for soak, which alone looks at the server's memory")
    memory = find_metric(arguments.metrics_url) if arguments.metrics_url else None
    instants = read_instants(arguments.schedule)
    plan = Plan(rate, seconds, arguments.seed, objective(arguments), instants, memory)
    if (arguments.scenario == "replay") != (plan.instants is not None):
        raise ValueError("replay and --schedule go together")
    if scenario.rate is None or rate is None:
        return plan
    if rate * plan.seconds < 1:
        raise ValueError("no request falls into so short a time at this rate")
    if plan.objective:
        _check_length(plan, rate, scenario, plan.objective)
    return plan


def _check_length(plan: Plan, rate: float, scenario: Scenario, objective: Objective) -> None:
    """Refuse a run too short for a verdict, and tell the least whole number of seconds that is not.

    Raises:
        ValueError: It is too short.
    """
    needed = objective.least_requests
    if rate * plan.seconds >= _PLENTY * needed:
        return

    def judged(seconds: float) -> int:
        """How many requests decide, with this seed; they do not become fewer with time."""
        return _least_good(len(SCHEDULES[scenario.schedule](rate, seconds, plan.seed)), scenario.bad_share)

    if (found := judged(plan.seconds)) < needed:
        enough = bisect_left(range(math.ceil(_PLENTY * needed / rate)), needed, lo=1, key=judged)
        what = "good requests" if scenario.bad_share else "requests"
        raise ValueError(
            f"{found} {what} cannot show that p{objective.quantile * 100:g} meets its objective; that takes "
            f"{needed}: --duration {enough}s at this rate"
        )


def _least_good(requests: int, bad_share: float) -> int:
    """How many are good input at least: their order is shuffled, so that chance decides within three deviations."""
    return math.floor(requests * (1 - bad_share) - 3 * math.sqrt(requests * bad_share * (1 - bad_share)))
