from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest import results
from loadtest.objective import Objective
from loadtest.summary import summarize
from tests.loadtest.traces import DROPPED, FAILED, run

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """Each request of each run comes back with its instants, its outcome, its kind and its images."""
    runs = [
        run([10.0, FAILED, DROPPED], kinds=("x4",), images=(4,), label="first"),
        run([20.0] * 5, lag_ms=1.0, label="second"),
    ]
    results.write(tmp_path / "new", runs, summarize(runs, Objective(0.1)))
    found = results.read(tmp_path / "new")

    assert [each["label"] for each in found.summary["runs"]] == ["first", "second"]
    for requests, original in zip(found.runs, runs, strict=True):
        for column in ("due", "sent", "done"):
            np.testing.assert_allclose(getattr(requests.trace, column), getattr(original.trace, column), atol=1e-6)
        np.testing.assert_array_equal(requests.trace.outcome, original.trace.outcome)
    assert found.runs[0].kinds == ("x4",)
    assert found.runs[0].images == (4, 4, 4)


def test_the_file_of_requests_can_be_read_by_anything(tmp_path: Path) -> None:
    """It is compressed text with a line for each request, and a dropped one has no instants but when it was due."""
    results.write(tmp_path, [run([10.0, DROPPED])], {"runs": [{}]})

    lines = gzip.decompress((tmp_path / "requests.csv.gz").read_bytes()).decode().splitlines()
    assert lines[0] == "run,due_s,sent_s,done_s,outcome,kind,images"
    assert lines[1:] == ["0,0.000000,0.000000,0.010000,OK,,1", "0,0.001000,,,DROPPED,,1"]


def test_a_result_that_could_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    """Whoever stops while it is written has the older result, whole, and nothing else lies there."""
    results.write(tmp_path, [run([10.0])], {"runs": [{}]})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(AttributeError):
        results.write(tmp_path, [run([20.0]), None], {"runs": [{}, {}]})  # type: ignore[list-item] # it fails midway
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_of_requests_that_was_cut_is_no_result(tmp_path: Path) -> None:
    """It is told as other damage is."""
    results.write(tmp_path, [run([10.0] * 100)], {"runs": [{}]})
    path = tmp_path / "requests.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(ValueError, match="has no end"):
        results.read(tmp_path)


def test_other_files_are_told_apart(tmp_path: Path) -> None:
    """A file of other columns is no result."""
    results.write(tmp_path, [run([10.0])], {"runs": [{}]})
    (tmp_path / "requests.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))

    with pytest.raises(ValueError, match="other columns"):
        results.read(tmp_path)
