"""`python -m loadtest report DIR`: write the report of a result again."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.report import write_report

if TYPE_CHECKING:
    import argparse

_USAGE = 2


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `report`."""
    parser = commands.add_parser("report", help="write the report of a result again")
    parser.add_argument("directory", type=Path, metavar="DIR", help="what --output named")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Write report.html and report.md; exit status 0, or 2 when there is no result to be read."""
    try:
        print(write_report(arguments.directory))
    except (OSError, ValueError, LookupError) as error:
        print(f"loadtest: no result can be read from {arguments.directory}: {error}", file=sys.stderr)
        return _USAGE
    return 0
