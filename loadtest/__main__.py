"""`python -m loadtest run SCENARIO`: offer a rate of requests and tell how they were served."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc

from client.image_files import find_images
from loadtest.generator import Load, run
from loadtest.payloads import CLASSIFY, classify_messages, judge_classification, make_images, read_images
from loadtest.schedule import SCHEDULES
from loadtest.summary import summarize

_EXIT_CODES = {"met": 0, "missed": 1, "invalid": 3}


def main() -> int:
    """Run a scenario; exit status 0 met, 1 missed, 3 invalid, 2 usage."""
    arguments = _parse_arguments()
    images = read_images(arguments.images) if arguments.images else make_images(arguments.seed)
    load = Load(arguments.url, CLASSIFY, classify_messages(images, arguments.model), judge_classification)
    due = SCHEDULES[arguments.scenario](arguments.rate, arguments.duration, arguments.seed)
    if not len(due):
        print("loadtest: no request falls into so short a time at this rate", file=sys.stderr)
        return 2
    try:
        summary = summarize(asyncio.run(run(load, due)), arguments.objective)
    except grpc.aio.AioRpcError as error:
        print(f"loadtest: {arguments.url}: {error.code().name}: {error.details()}", file=sys.stderr)
        return 2
    print(describe(summary))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return _EXIT_CODES[summary["verdict"]]


def describe(summary: dict[str, Any]) -> str:
    """The summary as a few lines for a person."""
    offered, achieved = summary["offered_rate"], summary["achieved_rate"]
    lines = [
        f"{summary['requests']} requests: {offered:.1f}/s offered, {achieved:.1f}/s answered",
        f"errors: {summary['errors'] or 'none'}; dropped: {summary['dropped']}",
        f"CPU of this client: {summary['client_cpu']:.0%} of a core",
    ]
    for name, key in (("latency (from due)", "latency_ms"), ("service (from sent)", "service_ms")):
        values = "  ".join(f"{rank} {_text(value)}" for rank, value in summary[key].items())
        lines.append(f"{name:>20}: {values}  ms")
    if summary["objective_ms"] is not None:
        lines.append(f"objective: p99 of at most {summary['objective_ms']:g} ms: {summary['verdict']}")
    lines += [f"take this with care, other work may have disturbed it: {reason}" for reason in summary["reasons"]]
    return "\n".join(lines)


def _text(value_ms: float | None) -> str:
    return "never" if value_ms is None else f"{value_ms:.1f}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True).add_parser("run", help="run one scenario")
    command.add_argument("scenario", choices=sorted(SCHEDULES), help="how requests arrive")
    command.add_argument("--images", nargs="+", help="files or directories to send in turn (default: made pictures)")
    command.add_argument("--url", default="127.0.0.1:8001", help="the server (default %(default)s)")
    command.add_argument("--model", default="", help="its model (default: the only one that classifies images)")
    command.add_argument("--rate", type=_positive, default=20.0, help="requests a second (default %(default)s)")
    command.add_argument("--duration", type=_duration, default=30.0, help="for example 30s or 2m (default 30s)")
    command.add_argument("--objective", type=_milliseconds, help="p99 to meet, for example 100ms")
    command.add_argument("--seed", type=int, default=0, help="of the schedule (default 0)")
    command.add_argument("--output", type=Path, help="directory for summary.json")
    arguments = parser.parse_args()
    wanted = arguments.images
    arguments.images = [Path(path) for path in find_images(wanted or [])]
    if missing := [str(path) for path in arguments.images if not path.is_file()]:
        parser.error(f"no such file: {missing[0]}")
    if wanted and not arguments.images:
        parser.error("no images found")
    return arguments


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def _duration(text: str) -> float:
    factors = {"ms": 1e-3, "s": 1.0, "m": 60.0}
    for unit, factor in factors.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return _positive(number) * factor
    return _positive(text)


def _milliseconds(text: str) -> float:
    return _duration(text) * 1e3


if __name__ == "__main__":
    sys.exit(main())
