"""From a command's arguments to its exit status: everything checked, the load offered, the result told and written."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from loadtest import results
from loadtest.calibration import calibrate
from loadtest.description import describe
from loadtest.environment import environment
from loadtest.metrics import serve as serve_metrics
from loadtest.preparation import Prepared, prepare
from loadtest.report import write_report
from loadtest.session import Interrupted, Session
from loadtest.summary import summarize
from loadtest.target import TargetError
from loadtest.terminal import Terminal
from loadtest.verdict import EXIT_CODES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from loadtest.calibration import Calibration
    from loadtest.progress import Observer
    from loadtest.run import Run
    from loadtest.scenarios import Plan, Scenario

USAGE = 2


def conduct(arguments: argparse.Namespace, scenario: Scenario, make_plan: Callable[[], Plan]) -> int:
    """Do what `add_load_arguments` and `arguments.scenario` ask for.

    Args:
        arguments: The command's.
        scenario: What is done.
        make_plan: Raises ValueError when what is asked for cannot be measured; nothing has been sent by then.

    Returns:
        The exit status: 0 met, 1 missed, 3 invalid, 2 usage.
    """
    try:
        plan = make_plan()
        if arguments.output:
            results.check_writable(arguments.output)
        prepared = prepare(arguments, scenario)
        calibration = None if arguments.no_calibration else calibrate(prepared.workload, prepared.options)
        if calibration and plan.rate is not None:
            _check_rate(scenario.most_of_rate * plan.rate, calibration)
        summary, runs = _run(arguments, scenario, plan, prepared, calibration)
        try:
            if arguments.output:
                results.write(arguments.output, runs, summary)
        finally:
            print(describe(summary))
        if arguments.output:
            print(f"report: {write_report(arguments.output)}", file=sys.stderr)
    except (TargetError, ValueError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return USAGE
    return EXIT_CODES[summary["verdict"]]


def _check_rate(rate: float, calibration: Calibration) -> None:
    if rate > calibration.most_rate:
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
) -> tuple[dict[str, Any], Sequence[Run]]:
    """Offer the load; gives the summary and the runs."""
    findings: dict[str, Any] = {}
    options = replace(prepared.options, ceiling_rate=calibration.ceiling_rate) if calibration else prepared.options
    with Terminal() as terminal:
        observers: list[Observer] = [terminal, *_observers(arguments)]
        session = Session(prepared.target, prepared.workload, options, arguments.scenario, observers)
        with session, contextlib.suppress(Interrupted):
            findings = scenario.run(session, plan)
    if not session.runs:
        raise TargetError("interrupted before anything was measured")
    verdict = findings.pop("verdict", None)
    misses = findings.pop("misses", ())
    summary = summarize(
        session.runs,
        plan.objective,
        scenario=arguments.scenario,
        findings=findings,
        verdict=verdict,
        misses=misses,
        several=scenario.several,
    )
    summary |= environment(prepared.target, arguments)
    summary["generator"] = asdict(calibration) if calibration else None
    return summary, session.runs


def _observers(arguments: argparse.Namespace) -> list[Observer]:
    """Those that are told while it runs."""
    if arguments.metrics_port is None:
        return []
    host = arguments.metrics_host
    metrics, port = serve_metrics(host, arguments.metrics_port)
    shown = f"[{host}]" if ":" in host else host
    print(f"loadgen_* metrics on http://{shown}:{port}/metrics", file=sys.stderr)
    return [metrics]
