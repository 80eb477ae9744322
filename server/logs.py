"""The server's log: lines of text for people, or one JSON object a line for programs; from every library, too.

Whatever a request brings may end up in a message. It cannot look like a line of ours, nor move a terminal's cursor, as
control characters are escaped; it cannot fill the log, as long texts are cut; and what is binary is never written.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from server.log_sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_MOST_CHARACTERS = 2000  # of a message or a field
_MOST_TRACE_CHARACTERS = 16000
_CUT = "..."
# Libraries repeat themselves when something is away, as a collector of traces may be for hours.
_LIBRARY_INTERVAL_SECONDS = 60.0
_OURS = ("server", "model.py")
# Fields that messages for people mostly begin with.
_IN_MESSAGES = ("model", "version")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

logger = logging.getLogger(__name__)


def configure(level: str, log_format: str) -> None:
    """Log to standard error from `level` on, "text", "json" or, with "auto", what fits the reader.

    Libraries log from "info" on at the earliest: what they tell beyond is for their own authors, and some of them write
    down what they were given.
    """
    handler = logging.StreamHandler(sys.stderr)
    as_text = sys.stderr.isatty() if log_format == "auto" else log_format == "text"
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    handler.addFilter(_LibrarySampling())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(threshold, logging.INFO), handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(threshold)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message and fields; the model, if the message tells it, not once more.

    Only lines of a trace, which are indented, may follow.
    """

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        """Give the lines."""
        message = _message(record)
        words = message.replace("/", " ").replace(":", " ").split()
        told = "".join(
            f" {key}={_printable(value)}"
            for key, value in _fields(record).items()
            if key not in _IN_MESSAGES or str(value) not in words
        )
        line = f"{self.formatTime(record)} {record.levelname:7} {record.name}: {message}{told}"
        return "\n".join([line, *(f"    {_printable(each)}" for each in _trace(self, record).splitlines())])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, message, the fields, and trace if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        told |= {key: value for key, value in _fields(record).items() if key not in told}
        if trace := _trace(self, record):
            told["traceback"] = trace
        return json.dumps(told, ensure_ascii=True, allow_nan=False)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    """What was given as `extra`, as JSON has it, but for what is empty."""
    told = {key: _told(value) for key, value in vars(record).items() if key not in _STANDARD}
    return {key: value for key, value in told.items() if value not in (None, "")}


def _message(record: logging.LogRecord) -> str:
    """The message, for people and programs alike a single line."""
    try:
        arguments = record.args
        if isinstance(arguments, tuple):
            arguments = tuple(_without_data(each) for each in arguments)
        text = str(record.msg) % arguments if arguments else str(record.msg)
    except (TypeError, ValueError, KeyError):  # a library's mistake must not cost the line
        text = str(record.msg)
    return _printable(text)


def _without_data(value: object) -> object:
    """`value`, or, if it holds bytes or numbers in bulk, only what it is."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>" if hasattr(value, "__array__") else value


def _told(value: object) -> object:
    """A field's value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int) else _valid(_cut(str(_without_data(value))))


def _printable(value: object) -> str:
    text = _valid(_cut(str(value)))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _valid(text: str) -> str:
    """Without halves of surrogate pairs, which no encoding of Unicode has."""
    return text.encode("utf-8", "replace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + _CUT


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """A trace's lines; of a long one beginning and end, where it says what happened."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    trace = _valid(formatter.formatException(record.exc_info))
    lines = "\n".join(_cut(line) for line in trace.splitlines())
    half = _MOST_TRACE_CHARACTERS // 2
    return lines if len(lines) <= 2 * half else f"{lines[:half]}\n{_CUT}\n{lines[-half:]}"


class _LibrarySampling(logging.Filter):
    """Lets libraries say the same, from the same line of their code, at most once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._sampler = Sampler(_LIBRARY_INTERVAL_SECONDS)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        if record.name.split(".")[0] == "server" or record.name in _OURS:
            return True
        suppressed = self._sampler.admit((record.name, record.pathname, record.lineno))
        if suppressed:
            record.suppressed = suppressed
        return suppressed is not None


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(caught: threading.ExceptHookArgs) -> None:
    if caught.exc_value is not None and not issubclass(caught.exc_type, SystemExit):
        name = caught.thread.name if caught.thread else "unknown"
        error = (caught.exc_type, caught.exc_value, caught.exc_traceback)
        logger.critical("uncaught exception in thread %s", name, exc_info=error, extra={"thread_name": name})


def _unraisable(caught: Any) -> None:
    logger.error("exception that nobody could catch", exc_info=caught.exc_value)
