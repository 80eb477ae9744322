"""`python -m loadtest search`: how many requests a second a deployment carries within its objective."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from loadtest.arguments import add_load_arguments, duration, objective, positive, whole
from loadtest.conduct import conduct
from loadtest.peak import LEAST_SECONDS_TO_PEAK, find_peak
from loadtest.scenarios import Plan, Scenario
from loadtest.search import Search
from loadtest.search_settings import SearchSettings, check_time
from loadtest.session import Interrupted
from loadtest.verdict import INVALID, MET, MISSED, Verdict

if TYPE_CHECKING:
    from loadtest.scenarios import Findings
    from loadtest.search_result import ProbedRate, SearchResult
    from loadtest.session import Session

_USUAL = SearchSettings(first_rate=1.0)
_FIRST_SHARE = 0.5  # of what the server answers when callers wait for it
_IN_MINUTES = 120.0  # seconds, from which a time is told so


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `search`."""
    parser = commands.add_parser("search", help="find the highest rate that meets --objective")
    parser.add_argument("--rate", type=positive, help="where to begin (default: half of what a closed loop reaches)")
    parser.add_argument(
        "--at-least", type=positive, default=_USUAL.lowest_rate, help="search nothing below (default %(default)s/s)"
    )
    parser.add_argument("--resolution", type=_ratio, default=_USUAL.resolution, help="of the answer (default 1.05)")
    parser.add_argument("--probe", type=duration, default=_USUAL.least_seconds, help="length of a probe (default 10s)")
    parser.add_argument("--most", type=duration, default=_USUAL.most_seconds, help="at one rate, in all (default 2m)")
    parser.add_argument("--time", type=duration, default=_USUAL.time_seconds, help="for all of it (default 20m)")
    parser.add_argument(
        "--confirm", type=duration, default=_USUAL.confirm_seconds, help="least length of each (default 30s)"
    )
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
    # Where the rate is not known yet, this checks what holds for any.
    settings = _settings(arguments, arguments.rate or math.inf)
    before = arguments.warm_up + (0.0 if arguments.rate else LEAST_SECONDS_TO_PEAK)
    check_time(plan.objective, replace(settings, time_seconds=settings.time_seconds - before, before_seconds=before))
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
        time_seconds=arguments.time,
        seed=arguments.seed,
    )


def _search(session: Session, plan: Plan, arguments: argparse.Namespace) -> Findings:
    if plan.objective is None:
        raise ValueError("a search needs an objective")
    start = time.monotonic()
    first = min(plan.rate or _FIRST_SHARE * find_peak(session, plan.seconds).rate, session.most_rate)
    session.warm_up(first)
    before = time.monotonic() - start
    settings = replace(
        _settings(arguments, first),
        most_rate=session.most_rate,
        time_seconds=arguments.time - before,
        before_seconds=before,
    )
    search = Search(session.probe, plan.objective, settings, _tell)
    session.outlook = search.outlook
    try:
        search.run()
        verdict = judge(search.result, arguments.time)
    except Interrupted:
        verdict = Verdict(INVALID, ("the search was interrupted before a rate was confirmed",))
    return {"verdict": verdict, **_findings(search.result)}


def judge(result: SearchResult, time_seconds: float) -> Verdict:
    """The verdict on what a search found in `time_seconds`."""
    if result.rate is not None:
        return Verdict(MET)
    if result.out_of_time:
        met = f"{result.met_rate:.4g}/s met" if result.met_rate else "no rate that was probed met"
        text = f"the time of {_time_text(time_seconds)} ran out before a rate was confirmed; {met} the objective"
        spoiled = (f"the last run did not measure the server: {result.spoiled}",) if result.spoiled else ()
        return Verdict(INVALID, (text, *spoiled))
    if limit := result.client_limit:
        return Verdict(INVALID, (f"this client cannot measure even {limit.rate:.4g}/s: {limit.client_limit}",))
    if last := result.open_end:
        late = f"{last.misses} of {last.requests} were late"
        text = f"too few requests tell whether even {last.rate:.4g} a second meet the objective: {late}"
        return Verdict(INVALID, (f"{text}; a longer --most tells more",))
    return Verdict(MISSED, (f"not even {result.probed[-1].rate:.4g} requests a second meet the objective",))


def _findings(result: SearchResult) -> Findings:
    limit = result.client_limit
    return {
        "rate": result.rate,
        "missed_rate": result.missed_rate,
        "client_limit": {"rate": limit.rate, "reason": limit.client_limit} if limit else None,
        "out_of_time": result.out_of_time,
        "met_rate": result.met_rate,
        "probed": [asdict(item) | {"decision": item.decision.value} for item in result.probed],
    }


def _tell(probed: ProbedRate) -> None:
    found = f"{probed.decision.value}, {probed.misses} of {probed.requests} late"
    if probed.client_limit:
        found = f"this client cannot measure it: {probed.client_limit}"
    print(f"{probed.purpose:>7} {probed.rate:8.4g}/s: {found}", file=sys.stderr, flush=True)


def _time_text(seconds: float) -> str:
    return f"{seconds / 60:.3g} min" if seconds >= _IN_MINUTES else f"{seconds:.3g} s"


def _ratio(text: str) -> float:
    value = positive(text)
    if value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 1, got {text!r}")
    return value
