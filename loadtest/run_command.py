"""`python -m loadtest run SCENARIO`: offer load and tell how it was served."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest import results
from loadtest.arguments import add_load_arguments, duration, objective, positive
from loadtest.calibration import calibrate
from loadtest.description import describe
from loadtest.environment import environment
from loadtest.metrics import serve as serve_metrics
from loadtest.preparation import Prepared, prepare
from loadtest.replay_file import read_instants
from loadtest.scenarios import SCENARIOS, Plan
from loadtest.session import Interrupted, Session
from loadtest.summary import summarize
from loadtest.target import TargetError
from loadtest.verdict import EXIT_CODES

if TYPE_CHECKING:
    import argparse

    from loadtest.calibration import Calibration
    from loadtest.progress import Observer
    from loadtest.scenarios import Scenario

USAGE = 2


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `run`."""
    parser = commands.add_parser("run", help="run one scenario")
    texts = "; ".join(f"{name}: {scenario.text}" for name, scenario in SCENARIOS.items())
    parser.add_argument("scenario", choices=SCENARIOS, metavar="SCENARIO", help=texts)
    parser.add_argument("--rate", type=positive, help="requests a second (default 20, or what the scenario finds)")
    parser.add_argument("--duration", type=duration, default=30.0, help="of each run: 30s, 2m (default 30s)")
    parser.add_argument("--schedule", type=Path, metavar="FILE", help="instants to replay: one a line, in seconds")
    add_load_arguments(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Run a scenario; exit status 0 met, 1 missed, 3 invalid, 2 usage."""
    scenario = SCENARIOS[arguments.scenario]
    try:
        plan = _plan(arguments, scenario)
        prepared = prepare(arguments, scenario)
        calibration = None if arguments.no_calibration else calibrate(prepared.workload, prepared.options)
        if calibration:
            _check_rate(plan.rate, calibration)
        summary = _run(arguments, scenario, plan, prepared, calibration)
    except (TargetError, ValueError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return USAGE
    print(describe(summary))
    return EXIT_CODES[summary["verdict"]]


def _plan(arguments: argparse.Namespace, scenario: Scenario) -> Plan:
    """What the user asks for.

    Raises:
        ValueError: It cannot be measured.
    """
    rate = arguments.rate or scenario.rate
    plan = Plan(rate, arguments.duration, arguments.seed, objective(arguments), read_instants(arguments.schedule))
    if (arguments.scenario == "replay") != (plan.instants is not None):
        raise ValueError("replay and --schedule go together")
    if scenario.rate is None or rate is None:
        return plan
    expected = rate * plan.seconds
    if expected < 1:
        raise ValueError("no request falls into so short a time at this rate")
    if plan.objective and expected < plan.objective.least_requests:
        needed = plan.objective.least_requests
        raise ValueError(
            f"{expected:.0f} requests cannot show that p{plan.objective.quantile * 100:g} meets its objective; that "
            f"takes {needed}: --duration {needed / rate * 1.1:.0f}s at this rate"
        )
    return plan


def _check_rate(rate: float | None, calibration: Calibration) -> None:
    if rate is not None and rate > calibration.most_rate:
        raise ValueError(
            f"this client can send {calibration.ceiling_rate:.0f} requests a second here and reports on half of that, "
            f"not on {rate:g}; more --processes may carry more"
        )


def _run(
    arguments: argparse.Namespace,
    scenario: Scenario,
    plan: Plan,
    prepared: Prepared,
    calibration: Calibration | None,
) -> dict[str, Any]:
    findings: dict[str, Any] = {}
    options = replace(prepared.options, ceiling_rate=calibration.ceiling_rate) if calibration else prepared.options
    session = Session(prepared.target, prepared.workload, options, arguments.scenario, _observers(arguments))
    with session, contextlib.suppress(Interrupted):
        findings = scenario.run(session, plan)
    if not session.runs:
        raise TargetError("interrupted before anything was measured")
    summary = summarize(session.runs, plan.objective, scenario=arguments.scenario, findings=findings)
    summary |= environment(prepared.target, arguments)
    summary["generator"] = asdict(calibration) if calibration else None
    if arguments.output:
        results.write(arguments.output, session.runs, summary)
    return summary


def _observers(arguments: argparse.Namespace) -> list[Observer]:
    """Those that are told while it runs."""
    if arguments.metrics_port is None:
        return []
    metrics, port = serve_metrics(arguments.metrics_port)
    print(f"loadgen_* metrics on http://127.0.0.1:{port}/metrics", file=sys.stderr)
    return [metrics]
