from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.logs import JsonFormatter, TextFormatter

_ROOT = Path(__file__).parents[2]
_NASTY = st.text(st.characters(), max_size=50) | st.sampled_from(
    ["\n2026-01-01 CRITICAL server: all is lost", "\x1b[2J\x1b]0;title\x07", "\x00", "\u2028\u202e", "\ud800", "\r"]
)
_VALUES = _NASTY | st.integers() | st.floats() | st.booleans() | st.none() | st.binary(max_size=20)


def _record(message: str, *arguments: Any, **fields: Any) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "server.app", "levelname": "WARNING", "levelno": 30, "created": 0.25})
    record.msg, record.args = message, arguments
    vars(record).update(fields)
    return record


def _json(record: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert line.isascii()
    told: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    return told


def _with_trace(record: logging.LogRecord, text: str) -> logging.LogRecord:
    def fail() -> None:
        raise ValueError(text)

    try:
        fail()
    except ValueError:
        record.exc_info = sys.exc_info()
    return record


@given(message=_NASTY, values=st.lists(_VALUES, max_size=3), field=_VALUES)
def test_a_line_of_json_is_always_one_object(message: str, values: list[Any], field: Any) -> None:
    """Whatever a request brings, each record is one line that a strict parser takes, with all its parts."""
    told = _json(_record("%s" * len(values), *values, request_id=message, odd=field))
    fields = {name for name, value in (("request_id", message), ("odd", field)) if value not in (None, "")}
    assert told.keys() == {"time", "level", "logger", "message"} | fields
    assert (told["level"], told["logger"]) == ("warning", "server.app")
    assert datetime.fromisoformat(told["time"]).timestamp() == 0.25


@given(message=_NASTY, field=_VALUES, error=_NASTY)
def test_text_from_outside_never_looks_like_a_line_of_ours(message: str, field: Any, error: str) -> None:
    """No control character reaches a terminal, and no line but the first begins where lines begin."""
    lines = TextFormatter().format(_with_trace(_record("%s", message, odd=field), error)).split("\n")
    assert all(character.isprintable() for line in lines for character in line)
    assert lines[0].startswith("1970-01-01")
    assert len(lines) > 1
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_trace_is_one_field() -> None:
    """Programs find an exception with its lines in one place."""
    told = _json(_with_trace(_record("failed"), "that was it"))
    assert told["traceback"].startswith("Traceback (most recent call last):\n")
    assert told["traceback"].endswith("ValueError: that was it")


def test_long_texts_are_cut() -> None:
    """A megabyte from a caller does not become a megabyte of log; a trace keeps its beginning and its end."""
    record = _record("%s", "m" * 10**6, request_id="r" * 10**6)
    _with_trace(record, "\n".join(["line " * 10] * 10**4) + "\nthe reason")
    told = _json(record)
    assert len(told["message"]) == len(told["request_id"]) == 2003
    assert len(told["traceback"]) < 17000
    assert told["traceback"].startswith("Traceback")
    assert told["traceback"].endswith("the reason")
    assert len(TextFormatter().format(record)) < 40000


@pytest.mark.parametrize("data", [b"\x89PNG secret", bytearray(b"secret"), memoryview(b"secret"), np.arange(9)])
def test_what_is_binary_is_never_written(data: Any) -> None:
    """A library that logs what it was given tells only how much that was."""
    for line in (JsonFormatter().format(_record("got %s", data)), TextFormatter().format(_record("got", found=data))):
        assert "secret" not in line
        assert "1 2 3" not in line
        assert "bytes>" in line or "<ndarray>" in line


def test_a_mistake_of_a_library_costs_no_line() -> None:
    """Arguments that do not fit the message leave the message."""
    assert _json(_record("%d of %d", "one"))["message"] == "%d of %d"
    record = _record("%(name)s is here")
    record.args = {"name": "somebody"}
    assert _json(record)["message"] == "somebody is here"


def test_people_are_told_nothing_twice() -> None:
    """In lines of text fields follow the message, which mostly begins with the model already."""
    line = TextFormatter().format(_record("net/3: request was slow", model="net", version="3", batch_size=3))
    assert line.endswith("WARNING server.app: net/3: request was slow batch_size=3")
    assert TextFormatter().format(_record("None was slow")).endswith("server.app: None was slow")
    line = TextFormatter().format(_record("a request was slow", model="net"))
    assert line.endswith("WARNING server.app: a request was slow model=net")


_PROGRAM = """
import logging, sys, threading, warnings
from server import logs
logs.configure("debug", sys.argv[1])
logging.getLogger("server.app").debug("of ours")
logging.getLogger("PIL.TiffImagePlugin").debug("what a library was given")
warnings.warn("of a library", stacklevel=1)
for _ in range(1000):
    logging.getLogger("opentelemetry.exporter").error("the collector is away")
threading.Thread(target=lambda: 1 / 0, name="worker").start()
for thread in threading.enumerate():
    if thread.name == "worker":
        thread.join()
class Bad:
    def __del__(self):
        raise OSError("too late")
Bad()
raise RuntimeError("the end")
"""


def _run(log_format: str, stderr: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", _PROGRAM, log_format]
    return subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=stderr, check=False)


def _on_a_terminal(log_format: str) -> str:
    ours, theirs = pty.openpty()
    try:
        assert _run(log_format, theirs).stdout == b""
    finally:
        os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65536):
            text += chunk
    except OSError:  # all is read, and nobody writes any more
        pass
    finally:
        os.close(ours)
    return text.decode()


@pytest.mark.parametrize("log_format", ["auto", "json"])
def test_programs_get_json(log_format: str) -> None:
    """Into a pipe, or where it is asked for, every line is an object, those of libraries and uncaught ones too."""
    text = _run("auto", subprocess.PIPE).stderr.decode() if log_format == "auto" else _on_a_terminal("json")
    lines = [json.loads(line) for line in text.splitlines()]
    messages = [line["message"] for line in lines]
    assert "of ours" in messages
    assert "what a library was given" not in messages
    assert any("of a library" in message for message in messages)
    assert messages.count("the collector is away") == 1
    traces = {line["message"]: line["traceback"].splitlines()[-1] for line in lines if "traceback" in line}
    assert traces == {
        "uncaught exception in thread worker": "ZeroDivisionError: division by zero",
        "exception that nobody could catch": "OSError: too late",
        "uncaught exception": "RuntimeError: the end",
    }


@pytest.mark.parametrize("log_format", ["auto", "text"])
def test_people_get_text(log_format: str) -> None:
    """On a terminal, or where it is asked for, lines are for reading."""
    text = _on_a_terminal("auto") if log_format == "auto" else _run("text", subprocess.PIPE).stderr.decode()
    lines = text.splitlines()
    assert lines[0].endswith(" DEBUG   server.app: of ours")
    assert lines[-1] == "    RuntimeError: the end"
