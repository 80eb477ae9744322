"""A result directory: summary.json for programs, and what became of each request for whoever wants to look closer."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtest.trace import OUTCOME, OUTCOMES, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadtest.run import Run

SUMMARY = "summary.json"
REQUESTS = "requests.csv.gz"
_COLUMNS = ("run", "due_s", "sent_s", "done_s", "outcome", "kind", "images")


@dataclass(frozen=True, slots=True)
class Requests:
    """One run's requests as a result directory holds them.

    Attributes:
        trace: Its messages are numbered by their kind, in `kinds`.
        kinds: Names of kinds.
        images: Images in each request, [N].
    """

    trace: Trace
    kinds: tuple[str, ...]
    images: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """A result directory that was read: the summary, and the requests of each of its runs."""

    summary: dict[str, Any]
    runs: tuple[Requests, ...]


def check_writable(directory: Path) -> None:
    """Make the directory, and try to write to it.

    Raises:
        OSError: It cannot be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def write(directory: Path, runs: Sequence[Run], summary: dict[str, Any]) -> None:
    """Write summary.json and requests.csv.gz, replacing what is there; numbers that are not finite are an error.

    What is there is replaced once both are written; until then an interruption leaves the old result.
    """
    text = json.dumps(summary, indent=2, allow_nan=False)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory) as folder:
        requests, told = Path(folder, REQUESTS), Path(folder, SUMMARY)
        with gzip.open(requests, "wt", newline="", encoding="utf-8", compresslevel=4) as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for number, run in enumerate(runs):
                writer.writerows(_rows(number, run))
        told.write_text(text + "\n", encoding="utf-8")
        for path in (requests, told):
            path.replace(directory / path.name)


def _rows(number: int, run: Run) -> Iterator[tuple[Any, ...]]:
    trace = run.trace
    for row in range(len(trace)):
        message = trace.message[row]
        instants = (_instant(column[row]) for column in (trace.due, trace.sent, trace.done))
        yield number, *instants, OUTCOMES[trace.outcome[row]], run.kinds[message], run.images[message]


def _instant(seconds: float) -> str:
    return "" if np.isnan(seconds) else f"{seconds:.6f}"


def read(directory: Path) -> Results:
    """Read what `write` wrote.

    Raises:
        OSError: A file is not there.
        ValueError: It is not what `write` wrote.
    """
    summary = json.loads((directory / SUMMARY).read_text(encoding="utf-8"))
    rows: list[list[list[str]]] = [[] for _ in summary["runs"]]
    try:
        with gzip.open(directory / REQUESTS, "rt", newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != _COLUMNS:
                raise ValueError(f"{directory / REQUESTS} has other columns than {', '.join(_COLUMNS)}")
            for row in reader:
                rows[int(row[0])].append(row)
    except EOFError:
        raise ValueError(f"{directory / REQUESTS} has no end") from None
    return Results(summary, tuple(_requests(each) for each in rows))


def _requests(rows: Sequence[Sequence[str]]) -> Requests:
    kinds = tuple(sorted({row[5] for row in rows}))
    numbers = {kind: number for number, kind in enumerate(kinds)}
    instants = np.array([[float(text or "nan") for text in row[1:4]] for row in rows]).reshape(-1, 3)
    due, sent, done = instants.T.copy()
    trace = Trace(
        due=due,
        sent=sent,
        done=done,
        message=np.array([numbers[row[5]] for row in rows], np.int32),
        outcome=np.array([OUTCOME[row[4]] for row in rows], np.uint8),
    )
    return Requests(trace, kinds, tuple(int(row[6]) for row in rows))
