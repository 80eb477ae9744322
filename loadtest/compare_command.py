"""`python -m loadtest compare A B`: what may be said of the difference between two results."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest import results
from loadtest.comparison import compare
from loadtest.report import REPORT, comparison_page

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from loadtest.comparison import Compared
    from loadtest.results import Results

_USAGE, _WORSE, _NO_CLAIM = 2, 1, 3


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `compare`."""
    text = "exit status: 0 B is not shown to be worse, 1 it is, 3 the rounds cannot tell, 2 usage"
    parser = commands.add_parser("compare", help="two results, or two directories of results, one a round", epilog=text)
    parser.add_argument("first", type=Path, metavar="A", help="a result, or a directory with a result for each round")
    parser.add_argument("second", type=Path, metavar="B", help="likewise; its rounds are paired with A's by name order")
    parser.add_argument("--output", type=Path, metavar="DIR", help="for the report")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Compare; the exit status."""
    try:
        return conclude(arguments.first, arguments.second, arguments.output)
    except (OSError, ValueError, LookupError) as error:
        print(f"loadtest: cannot compare: {error}", file=sys.stderr)
        return _USAGE


def conclude(first: Path, second: Path, output: Path | None) -> int:
    """Compare what two directories hold, tell it, and write the report to `output` if there is one.

    Raises:
        OSError: There is nothing to be read, or the report cannot be written.
        ValueError: The two cannot be compared.
    """
    sides = _rounds(first), _rounds(second)
    names = first.resolve().name, second.resolve().name
    found = compare(*sides)
    statement = comparison_page.state(names, found)
    print(statement.sentence, *(f"  {detail}" for detail in statement.details), sep="\n")
    if output:
        _write(output, names, sides, found)
        print(f"report: {output / REPORT}", file=sys.stderr)
    if any(each.worse for each in found):
        return _WORSE
    untold = not any(each.ratio for each in found) or comparison_page.too_wide(found)
    return _NO_CLAIM if untold or any(each.second_failed_more for each in found) else 0


def _write(
    output: Path, names: tuple[str, str], sides: tuple[Sequence[Results], Sequence[Results]], found: Sequence[Compared]
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / REPORT).write_text(comparison_page.html(names, sides, found), encoding="utf-8")
    (output / "report.md").write_text(comparison_page.markdown(names, sides, found), encoding="utf-8")
    plain = {"first": names[0], "second": names[1], "compared": [asdict(each) for each in found]}
    (output / "comparison.json").write_text(json.dumps(plain, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _rounds(directory: Path) -> list[Results]:
    """A result, or those in a directory's subdirectories in the order of their names."""
    if (directory / results.SUMMARY).is_file():
        return [results.read(directory)]
    found = sorted(path.parent for path in directory.glob(f"*/{results.SUMMARY}"))
    if not found:
        raise ValueError(f"there is no result in {directory}")
    return [results.read(each) for each in found]
