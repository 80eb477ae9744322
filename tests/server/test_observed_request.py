from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.instance import Execution, Reply
from server.observed_request import ObservedRequest, current, set_current

MS = 1_000_000


def _reply(arrived_ms: int, started_ms: int, finished_ms: int, rows: int = 1) -> Reply[None]:
    execution = Execution([None], started_ms * MS, started_ms * MS, finished_ms * MS, finished_ms * MS)
    return Reply(None, arrived_ms * MS, rows, execution)


def _request(started_ms: int = 0) -> ObservedRequest:
    request = ObservedRequest("service/Method")
    request.started_ns = started_ms * MS
    return request


def test_one_image_is_told_stage_by_stage() -> None:
    """Decoding, the queue and computing are what they are, and the rest is the rest."""
    request = _request()
    request.decodes.append(("m", 1 * MS, 4 * MS))
    request.ran("m", _reply(4, 14, 44, rows=8))
    breakdown = request.breakdown(50 * MS)
    parts = breakdown.decode_ms, breakdown.queue_ms, breakdown.compute_ms, breakdown.rest_ms
    assert parts == pytest.approx((3, 10, 30, 7))
    assert breakdown.total_ms == pytest.approx(50)
    assert request.batch_rows == 8


def test_steps_one_after_the_other_add_up() -> None:
    """An ensemble's request waits and computes more than once."""
    request = _request()
    request.ran("first", _reply(0, 5, 10))
    request.ran("second", _reply(11, 13, 20))
    breakdown = request.breakdown(20 * MS)
    assert (breakdown.queue_ms, breakdown.compute_ms, breakdown.rest_ms) == pytest.approx((7, 12, 1))


def test_waiting_in_vain_is_waiting() -> None:
    """A request that no instance took in time tells that the queue took its time."""
    request = _request()
    request.waits.append(("m", 2 * MS, 90 * MS))
    assert request.breakdown(100 * MS).queue_ms == pytest.approx(88)
    assert request.batch_rows == 0


def test_what_failed_tells_how_long_the_model_had_it() -> None:
    """A model that raises after a second has used that second; what came before was the queue."""
    request = _request()
    request.started_ns = time.monotonic_ns() - 100 * MS
    request.waited("m", request.started_ns + 10 * MS, request.started_ns + 30 * MS)
    breakdown = request.breakdown(request.crashes[0][2])
    assert (breakdown.queue_ms, breakdown.rest_ms) == pytest.approx((20, 10))
    assert breakdown.compute_ms >= 70


_SPANS = st.lists(st.lists(st.integers(0, 1000), min_size=3, max_size=3).map(sorted), max_size=6)


@given(decodes=_SPANS, runs=_SPANS)
def test_the_parts_add_up_to_the_total(decodes: list[list[int]], runs: list[list[int]]) -> None:
    """However the images of one request overlap, no time is counted twice."""
    request = _request()
    request.decodes = [("m", started * MS, ended * MS) for started, _, ended in decodes]
    for arrived, started, finished in runs:
        request.ran("m", _reply(arrived, started, finished))
    breakdown = request.breakdown(1000 * MS)
    parts = (breakdown.decode_ms, breakdown.queue_ms, breakdown.compute_ms, breakdown.rest_ms)
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(breakdown.total_ms)


def test_texts_of_callers_are_cut() -> None:
    """A caller who sends a megabyte as request id fills neither log nor page."""
    request = _request()
    request.asks("i" * 10**6, "m" * 10**6, "1" * 10**6)
    assert {len(request.request_id), len(request.model), len(request.version)} == {128}


def test_who_works_for_nobody_may_still_tell() -> None:
    """Code that is called outside of a request needs no special case, and leaves no trace."""
    set_current(None)
    current().asks("id", "model")
    assert current().request_id == ""
    mine = _request()
    set_current(mine)
    assert current() is mine
    set_current(None)
