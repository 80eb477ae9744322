"""`python -m server check`: the command."""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from server import model_directories
from server.check.check import check_repository
from server.check.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print what is found, a line each; returns 0 when nothing is wrong, 1 after errors, 2 for a wrong option."""
    parser = argparse.ArgumentParser(
        prog="python -m server check",
        description="Say what this server and Triton would reject or ignore in a model repository.",
        epilog="Exit status: 0 nothing wrong, 1 errors, 2 usage. Warnings alone are not wrong.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = Path(environment.get("COORDSERVE_MODEL_REPOSITORY") or "model_repository")
    parser.add_argument("--model-repository", type=Path, default=default, metavar="DIR", help="directory of models")
    parser.add_argument("--json", action="store_true", help="print each finding as a JSON object")
    options = parser.parse_args(arguments)
    logging.basicConfig(handlers=[logging.NullHandler()])  # what loading logs is among the findings
    try:
        return _print_findings(options.model_repository, as_json=options.json)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")


def _print_findings(directory: Path, *, as_json: bool) -> int:
    counts: Counter[Severity] = Counter()
    for finding in check_repository(directory):
        counts[finding.severity] += 1
        print(json.dumps(finding.to_json()) if as_json else finding, flush=True)  # noqa: T201 - a command's output
    if not as_json:
        models = len(model_directories.list_all(directory))
        numbers = {"model": models, "error": counts[Severity.ERROR], "warning": counts[Severity.WARNING]}
        print(", ".join(f"{number} {noun}{'' if number == 1 else 's'}" for noun, number in numbers.items()))  # noqa: T201 - likewise
    return 1 if counts[Severity.ERROR] else 0
