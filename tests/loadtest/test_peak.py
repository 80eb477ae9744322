from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest import peak
from loadtest.address import Address
from loadtest.calibration import null_server
from loadtest.images import make_images
from loadtest.options import Options
from loadtest.payloads import Mix, make_workload
from loadtest.session import Session
from loadtest.target import find_target

if TYPE_CHECKING:
    from loadtest.peak import Peak
    from loadtest.run import Run


@pytest.fixture(autouse=True)
def _in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "PEAK_SECONDS", 1.0)


def find(url: str, most_in_flight: int = 500) -> tuple[Peak, list[Run]]:
    """The peak of a server, and the runs that tell it."""
    target = find_target(Address(url))
    workload = make_workload(target, make_images(0, count=4), Mix())
    with Session(target, workload, Options(most_in_flight=most_in_flight)) as session:
        return peak.find_peak(session, 1.0), session.runs


def test_the_peak_is_what_is_answered_within_its_time() -> None:
    """Answers that callers still wait for at the end are none of it, though they come."""
    with null_server("--size", "16", "--service", "constant:300ms", "--servers", "64") as url:
        found, (run,) = find(url)

    assert found.rate == np.count_nonzero(run.trace.done <= 1.0) < len(run.trace)
    assert found.callers == run.concurrency


def test_a_peak_takes_as_many_callers_as_the_server_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers 8 at a time gets more than the 4 callers that are tried first, and no more than may be."""
    monkeypatch.setattr(peak, "_MOST_CALLERS_AT_FIRST", 4)
    with null_server("--size", "16", "--service", "constant:300ms", "--servers", "8") as url:
        found, _ = find(url)
        few, _ = find(url, most_in_flight=3)

    assert found.callers >= 8
    assert found.rate > 2 * 8  # in two rounds of the three that fit into a second
    assert few.callers == 3
