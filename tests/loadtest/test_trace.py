from __future__ import annotations

import multiprocessing

import numpy as np

from loadtest.trace import CODES, OUTCOME, PENDING, ROW, read_rows, shared_rows
from tests.loadtest.traces import DROPPED, FAILED, trace


def _write(file: str, count: int) -> None:
    rows = np.memmap(file, ROW, "r+", shape=(count,))
    rows["due"][1] = 5.0


def test_codes_are_grpcs() -> None:
    """An outcome's number is the gRPC code's where there is one."""
    assert CODES[0] == "OK"
    assert CODES[14] == "UNAVAILABLE"
    assert OUTCOME["UNAUTHENTICATED"] == 16


def test_another_process_can_write_rows() -> None:
    """What a sender writes is seen by whoever started it, while both run."""
    with shared_rows(3) as (rows, file):
        assert set(rows["outcome"]) == {PENDING}
        writer = multiprocessing.get_context("spawn").Process(target=_write, args=(str(file), 3))
        writer.start()
        writer.join()

        assert rows["due"][1] == 5.0


def test_rows_that_were_never_due_are_no_requests() -> None:
    """A trace holds what was due, in that order."""
    rows = np.zeros(3, ROW)
    rows["due"] = [2.0, np.nan, 1.0]

    np.testing.assert_array_equal(read_rows(rows).due, [1.0, 2.0])


def test_a_request_without_an_answer_is_infinitely_late() -> None:
    """Errors and drops count in response and service time; what was not sent has no lag."""
    found = trace([10.0, FAILED, DROPPED], lag_ms=4.0)

    np.testing.assert_allclose(found.response_seconds, [0.01, np.inf, np.inf])
    np.testing.assert_allclose(found.service_seconds, [0.006, np.inf, np.inf])
    np.testing.assert_allclose(found.lag_seconds, [0.004, 0.004])
    assert found.outcome_counts() == {"OK": 1, "UNAVAILABLE": 1, "DROPPED": 1}
