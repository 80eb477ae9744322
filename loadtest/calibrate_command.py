"""`python -m loadtest calibrate`: how fast this client is on this machine, before any server is blamed."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loadtest.address import Address
from loadtest.arguments import cpus, whole
from loadtest.calibration import calibrate, null_server
from loadtest.images import make_images
from loadtest.options import Options
from loadtest.payloads import Mix, make_workload
from loadtest.target import PAYLOADS, TargetError, find_target

if TYPE_CHECKING:
    import argparse

    from loadtest.workload import Workload


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `calibrate`."""
    parser = commands.add_parser("calibrate", help="measure this client against a server that does nothing")
    parser.add_argument("--payload", choices=PAYLOADS, default="image", help="what is sent (default image)")
    parser.add_argument("--size", type=whole, default=224, help="of images sent as tensors, in pixels (default 224)")
    parser.add_argument("--processes", type=whole, default=1, help="that send (default 1)")
    parser.add_argument("--cpus", type=cpus, default=frozenset(), help="cores for the senders, for example 1")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Print the floor and the ceiling; exit status 0."""
    options = Options(processes=arguments.processes, cpus=arguments.cpus)
    try:
        found = calibrate(_workload(arguments), options)
    except (TargetError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    print(f"floor: a lone caller sees p50 {found.floor_ms:.2f} ms, p99 {found.floor_p99_ms:.2f} ms, without any work")
    print(f"ceiling: {found.ceiling_rate:.0f} requests a second; it reports on up to {found.most_rate:.0f}")
    return 0


def _workload(arguments: argparse.Namespace) -> Workload:
    """The payload as a model of that size takes it."""
    datatype = arguments.payload if arguments.payload != "image" else "uint8"
    with null_server("--payload", datatype, "--size", str(arguments.size)) as url:
        target = find_target(Address(url), payload=arguments.payload)
    return make_workload(target, make_images(0), Mix())
