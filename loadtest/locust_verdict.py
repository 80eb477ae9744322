"""The verdict on a test under Locust: the same statistics as `python -m loadtest run`."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest import results
from loadtest.arguments import objective
from loadtest.description import describe
from loadtest.environment import environment as describe_environment
from loadtest.report import write_report
from loadtest.run import Conditions, Run
from loadtest.summary import summarize
from loadtest.trace import due_after
from loadtest.verdict import EXIT_CODES, INVALID, MISSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from locust.env import Environment

    from loadtest.target import Target
    from loadtest.trace import Trace


def judge(
    environment: Environment, trace: Trace, kinds: Sequence[str], client_cpu: float, target: Target | None, lost: int
) -> int:
    """Tell and write the result of a test that sent something; gives the exit code.

    Args:
        environment: Locust's, with the options.
        trace: The requests, the warm-up's included, with the numbers of their kinds.
        kinds: The kinds' names.
        client_cpu: The highest share of a core that a process has used, over the test.
        target: The server as it was at the start; None where it was not asked.
        lost: How many workers have gone, or did not tell their last requests.
    """
    options = environment.parsed_options
    trace = due_after(trace, options.warm_up)
    if not len(trace):
        print("loadtest: the test ended within its warm-up", file=sys.stderr)
        return EXIT_CODES[INVALID]
    run = _run(trace, kinds, client_cpu, options.seed)
    summary = summarize([run], objective(options), scenario="locust")
    if lost and summary["verdict"] != MISSED:
        _disbelieve(summary, f"{lost} of the workers went away, or did not tell what became of their last requests")
    print(describe(summary))
    if options.output:
        results.write(Path(options.output), [run], summary | describe_environment(target, options))
        write_report(Path(options.output))
    return EXIT_CODES[summary["verdict"]]


def _disbelieve(summary: dict[str, Any], reason: str) -> None:
    """Make a summary, and the run in it, say that it is invalid."""
    for told in (summary, summary["runs"][0]):
        told |= {"verdict": INVALID, "reasons": [reason, *told["reasons"]]}
    summary["runs"][0]["conditions"].append({"name": "workers", "valid": False, "text": reason})


def _run(trace: Trace, kinds: Sequence[str], client_cpu: float, seed: int) -> Run:
    seconds = float(trace.due[-1]) + 1e-9
    return Run(
        "locust",
        trace,
        seconds,
        Conditions(client_cpu, steal=None, clock_drift=None),
        rate=len(trace) / seconds,
        seed=seed,
        kinds=tuple(kinds),
        images=(1,) * len(kinds),
        good=(True,) * len(kinds),
    )
