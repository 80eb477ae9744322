from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import InvalidImage, ModelFailed, QueueFull
from server.instance import Execution, Reply
from server.observed_request import current
from server.request_watch import RequestWatch
from server.slow_requests import SlowRequests

if TYPE_CHECKING:
    import logging

    import pytest

_NEVER = 1e9  # seconds


def _run(milliseconds: int = 1) -> Reply[None]:
    ended = current().started_ns + milliseconds * 1_000_000
    return Reply(None, current().started_ns, 4, Execution([None], current().started_ns, ended, ended, ended))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return vars(record)


def test_answers_are_kept_with_what_is_known_of_them(caplog: pytest.LogCaptureFixture) -> None:
    """The page sees the request as its servicer told of it; the log says nothing, as it was quick."""
    slow = SlowRequests()
    watch = RequestWatch(_NEVER, slow)
    request = watch.call("service/Method", lambda: "ipv4:10.0.0.1:4711", tuple)
    current().asks("mine", "net", "3")
    current().ran("net", _run())
    watch.ended(request)
    [kept] = slow.slowest()
    assert (kept.request_id, kept.model, kept.version, kept.method) == ("mine", "net", "3", "service/Method")
    assert (kept.code, kept.reason, kept.batch_size, kept.trace_id) == ("OK", "", 4, "")
    assert caplog.records == []


def test_calls_that_ran_nothing_are_no_slow_requests() -> None:
    """Loading a model takes its time, which is nobody's request for an answer."""
    slow = SlowRequests()
    watch = RequestWatch(1e-9, slow)
    watch.ended(watch.call("service/Load", str, tuple))
    assert slow.slowest() == []


def test_slow_answers_are_logged_in_samples(caplog: pytest.LogCaptureFixture) -> None:
    """The first one has a line with its times; the many that follow at once have none."""
    watch = RequestWatch(1e-9, SlowRequests())
    for _ in range(100):
        request = watch.call("service/Method", lambda: "ipv6:[::1]:4711", tuple)
        request.ran("net", _run())
        watch.ended(request)
    [record] = caplog.records
    assert _fields(record).items() >= {"peer": "ipv6:[::1]", "code": "OK", "batch_size": 4}.items()
    assert float(record.__dict__["total_ms"]) > 0


def test_a_limit_of_zero_logs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Who does not want slow requests in the log can have it."""
    slow = SlowRequests()
    watch = RequestWatch(0, slow)
    request = watch.call("service/Method", str, tuple)
    request.ran("net", _run())
    watch.ended(request)
    assert caplog.records == []
    assert len(slow.slowest()) == 1


def test_a_request_fails_once(caplog: pytest.LogCaptureFixture) -> None:
    """Of all images of a request that fail, the first is kept and told, and it is not among the answers."""
    slow = SlowRequests()
    watch = RequestWatch(1e-9, slow)
    request = watch.call("service/Method", str, tuple)
    request.ran("net", _run())
    for error in (InvalidImage("the second image is none"), QueueFull("no place"), InvalidImage("another one")):
        watch.failed(request, error)
    watch.ended(request)
    assert [(each.reason, each.code) for each in slow.failures()] == [("invalid_image", "INVALID_ARGUMENT")]
    assert slow.slowest() == []
    assert [record.getMessage() for record in caplog.records] == ["request failed: the second image is none"]


def test_each_reason_is_logged_in_samples_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of one kind of failure hides no other kind."""
    watch = RequestWatch(_NEVER, SlowRequests())
    for error in (QueueFull("full"), QueueFull("full"), ModelFailed("failed"), QueueFull("full")):
        watch.failed(watch.call("service/Method", str, tuple), error)
    assert [_fields(record)["reason"] for record in caplog.records] == ["queue_full", "model"]


def test_what_a_failure_says_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """A caller is told everything, the log only what fits."""
    watch = RequestWatch(_NEVER, SlowRequests())
    watch.failed(watch.call("service/Method", str, tuple), QueueFull("x" * 10**6))
    assert len(caplog.records[0].getMessage()) < 400


def test_messages_of_a_stream_are_requests_of_their_own() -> None:
    """Each has its own times and its own failure; the stream has none of them."""
    slow = SlowRequests()
    watch = RequestWatch(_NEVER, slow)
    stream = watch.call("service/Stream", lambda: "ipv4:10.0.0.1:4711", tuple)
    message = watch.message(stream)
    assert current() is message
    assert (message.method, message.peer()) == ("service/Stream", "ipv4:10.0.0.1:4711")
    current().ran("net", _run())
    watch.ended(message)
    watch.ended(stream)
    assert len(slow.slowest()) == 1


def test_bugs_have_one_trace_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The same bug met by a thousand calls is one trace in the log."""
    watch = RequestWatch(_NEVER, SlowRequests())
    for _ in range(1000):
        watch.broke(watch.call("service/Method", str, tuple), ZeroDivisionError("division by zero"))
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert len(caplog.records) < 10
