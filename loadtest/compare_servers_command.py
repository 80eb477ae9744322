"""`python -m loadtest compare-servers`: this server and Triton in turn, on the same model, settings and arrivals."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest import results, schedule
from loadtest.arguments import add_load_arguments, duration, objective, positive, whole
from loadtest.compare_command import conclude
from loadtest.conduct import USAGE, conduct
from loadtest.peak import find_peak
from loadtest.same_settings import copy_model
from loadtest.scenarios import PEAK_SHARES, Plan, Scenario
from loadtest.server_process import COMMANDS, serve

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from loadtest.scenarios import Findings
    from loadtest.session import Session


class _Stopped(Exception):  # noqa: N818 - not always an error
    """A measurement did not come to its end."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `compare-servers`."""
    parser = commands.add_parser("compare-servers", help="this server and Triton, in alternating rounds")
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"), help="default %(default)s")
    parser.add_argument("--rates", type=_rates, help="requests a second (default: shares of the lower of both peaks)")
    parser.add_argument("--rounds", type=whole, default=5, help="each is a turn of both (default 5)")
    parser.add_argument("--duration", type=duration, default=30.0, help="at each rate (default 30s)")
    parser.add_argument("--instances", type=whole, default=1, help="of the model, in both (default 1)")
    parser.add_argument("--threads", type=whole, default=1, help="of an instance, in both (default 1)")
    add_load_arguments(parser, starts_servers=True)
    parser.set_defaults(
        execute=execute, scenario="rates", model=["ca_mobilenetv2"], payload="uint8", output=Path("comparison")
    )


def execute(arguments: argparse.Namespace) -> int:
    """Measure and compare; the exit status is that of `compare` with Triton as its first."""
    with tempfile.TemporaryDirectory(prefix="loadtest-") as directory:
        repository = Path(directory)
        try:
            _check(arguments)
            copy_model(
                arguments.model_repository, arguments.model[-1], arguments.instances, arguments.threads, repository
            )
            rates = arguments.rates or _shares(arguments, repository)
            for number, name in turns(arguments.rounds):
                print(f"\nround {number + 1} of {arguments.rounds}: {name}", flush=True)
                output = arguments.output / name / f"round-{number + 1:02}"
                own = _with(arguments, seed=arguments.seed + number, output=output)  # in each round other arrivals
                _measure(name, repository, own, lambda session, plan: _offer(session, plan, rates))
            return conclude(arguments.output / "triton", arguments.output / "python", arguments.output)
        except KeyboardInterrupt:  # between two turns; within one, its session ends it
            print("loadtest: interrupted", file=sys.stderr)
        except _Stopped as stopped:
            print(f"loadtest: {stopped}", file=sys.stderr)
        except (OSError, RuntimeError, ValueError) as error:
            print(f"loadtest: cannot compare the servers: {error}", file=sys.stderr)
    return USAGE


def turns(rounds: int) -> Iterator[tuple[int, str]]:
    """Who is measured when: ABBAAB..., so that neither has the better half of a machine that drifts."""
    for number in range(rounds):
        names = list(COMMANDS)
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name


def _check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for what cannot be done; rounds are not mixed with others."""
    if any((arguments.output / name).exists() for name in COMMANDS):
        raise ValueError(f"{arguments.output} holds rounds already: name another --output")
    if arguments.metrics_port:
        raise ValueError("each turn has metrics of its own: --metrics-port must be 0, for any port that is free")


def _shares(arguments: argparse.Namespace, repository: Path) -> tuple[float, ...]:
    """Rates that both carry, found with callers that wait."""
    peaks: list[float] = []

    def peak(session: Session, plan: Plan) -> Findings:
        found = find_peak(session, plan.seconds)
        peaks.append(found.rate)
        return found.findings

    for name in COMMANDS:
        print(f"\npeak of {name}", flush=True)
        found = len(peaks)
        _measure(name, repository, _with(arguments, output=None), peak)
        if len(peaks) == found:
            raise _Stopped("interrupted before both peaks were known")
    return tuple(float(f"{share * min(peaks):.2g}") for share in PEAK_SHARES)


def _measure(
    name: str,
    repository: Path,
    arguments: argparse.Namespace,
    run: Callable[[Session, Plan], Findings],
) -> None:
    """Start one server, offer it the load, and end it.

    Raises:
        _Stopped: It could not be measured, or somebody interrupted.
    """
    plan = Plan(None, arguments.duration, arguments.seed, objective(arguments))
    with serve(name, repository, arguments.model[-1]) as served:
        own = _with(arguments, url=served.url, server_pid=served.process.pid, model=arguments.model[-1:])
        if conduct(own, Scenario("both servers", run, rate=None, several=True), lambda: plan) == USAGE:
            raise _Stopped(f"{name} could not be measured")
    output = arguments.output
    if output and json.loads((output / results.SUMMARY).read_text(encoding="utf-8"))["partial"]:
        raise _Stopped(f"interrupted; the rounds until then are in {output.parents[1]}")


def _with(arguments: argparse.Namespace, **fields: Any) -> argparse.Namespace:
    """The same arguments but for some."""
    own = copy.copy(arguments)
    vars(own).update(fields)
    return own


def _offer(session: Session, plan: Plan, rates: tuple[float, ...]) -> Findings:
    session.warm_up(rates[0])
    for rate in rates:
        due = schedule.poisson(rate, plan.seconds, plan.seed)
        session.open_loop(due, plan.seconds, label=f"{rate:g}/s", rate=rate, seed=plan.seed)
    return {}


def _rates(text: str) -> tuple[float, ...]:
    """`10,20.5` to numbers above 0."""
    return tuple(positive(part) for part in text.split(","))
