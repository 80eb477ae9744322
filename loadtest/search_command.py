"""`python -m loadtest search`: how many requests a second a deployment carries within its objective."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from loadtest.arguments import add_load_arguments, duration, objective, positive, whole
from loadtest.conduct import conduct
from loadtest.scenarios import Plan, Scenario, find_peak
from loadtest.search import ClientLimit, Search, SearchSettings, check_time
from loadtest.session import Interrupted
from loadtest.verdict import INVALID, MET, MISSED, Verdict

if TYPE_CHECKING:
    from loadtest.scenarios import Findings
    from loadtest.search import ProbedRate, SearchResult
    from loadtest.session import Session

_USUAL = SearchSettings(first_rate=1.0)
_FIRST_SHARE = 0.5  # of what the server answers when callers wait for it


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `search`."""
    parser = commands.add_parser("search", help="find the highest rate that meets --objective")
    parser.add_argument("--rate", type=positive, help="where to begin (default: half of what a closed loop reaches)")
    parser.add_argument("--at-least", type=positive, default=_USUAL.lowest_rate, help="requests a second to carry")
    parser.add_argument("--resolution", type=_ratio, default=_USUAL.resolution, help="of the answer (default 1.05)")
    parser.add_argument("--probe", type=duration, default=_USUAL.least_seconds, help="length of a probe (default 10s)")
    parser.add_argument("--most", type=duration, default=_USUAL.most_seconds, help="time for one rate (default 2m)")
    parser.add_argument("--confirm", type=duration, default=_USUAL.confirm_seconds, help="of each run (default 1m)")
    parser.add_argument("--confirmations", type=whole, default=_USUAL.confirmations, help="with new seeds (default 3)")
    add_load_arguments(parser)
    parser.set_defaults(execute=execute, scenario="search")


def execute(arguments: argparse.Namespace) -> int:
    """Search; exit status 0 when a rate was found, 1 when none meets the objective, 3 invalid, 2 usage."""
    scenario = Scenario(
        "the highest rate that meets the objective", lambda session, plan: _search(session, plan, arguments), rate=None
    )
    return conduct(arguments, scenario, lambda: _plan(arguments))


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = Plan(arguments.rate, arguments.probe, arguments.seed, objective(arguments))
    if plan.objective is None:
        raise ValueError("a search needs an --objective, for example 100ms")
    if arguments.rate is not None:
        check_time(plan.objective, _settings(arguments, arguments.rate))
    return plan


def _settings(arguments: argparse.Namespace, first_rate: float) -> SearchSettings:
    return SearchSettings(
        first_rate=first_rate,
        lowest_rate=arguments.at_least,
        resolution=arguments.resolution,
        least_seconds=arguments.probe,
        most_seconds=arguments.most,
        confirmations=arguments.confirmations,
        confirm_seconds=arguments.confirm,
        seed=arguments.seed,
    )


def _search(session: Session, plan: Plan, arguments: argparse.Namespace) -> Findings:
    if plan.objective is None:
        raise ValueError("a search needs an objective")
    first = plan.rate or _FIRST_SHARE * find_peak(session, plan)
    session.warm_up(first)
    search = Search(session.probe, plan.objective, _settings(arguments, first), _tell)
    try:
        search.run()
        verdict = _verdict(search.result)
    except ClientLimit as limit:
        verdict = Verdict(INVALID, (f"this client cannot measure on: {limit}",))
    except Interrupted:
        verdict = Verdict(INVALID, ("the search was interrupted before a rate was confirmed",))
    result = search.result
    return {
        "verdict": verdict,
        "rate": result.rate,
        "missed_rate": result.missed_rate,
        "probed": [asdict(item) | {"decision": item.decision.value} for item in result.probed],
    }


def _verdict(result: SearchResult) -> Verdict:
    if result.rate is not None:
        return Verdict(MET)
    return Verdict(MISSED, (f"not even {result.probed[-1].rate:.4g} requests a second meet the objective",))


def _tell(probed: ProbedRate) -> None:
    text = (
        f"{probed.purpose:>7} {probed.rate:8.4g}/s: {probed.decision.value}, {probed.misses} of {probed.requests} late"
    )
    print(text, file=sys.stderr, flush=True)


def _ratio(text: str) -> float:
    value = positive(text)
    if value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 1, got {text!r}")
    return value
