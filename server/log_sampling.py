"""Keeping the log readable when the same thing happens a thousand times a second."""

from __future__ import annotations

import re
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Hashable

_INTERVAL_SECONDS = 10.0
_MOST_CAUSES = 100
_MOST_CHARACTERS = 2000
_DIGITS = re.compile("[0-9]+")


class Sampler:
    """Lets the first event of a kind through, then at most one in `interval_seconds`; safe from any thread.

    It remembers every kind, so there must be few of them.
    """

    def __init__(
        self, interval_seconds: float = _INTERVAL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[Hashable, float] = {}
        self._suppressed: dict[Hashable, int] = {}

    def admit(self, kind: Hashable) -> int | None:
        """How many of this `kind` were kept back since the last one; None when this one is to be kept back, too."""
        with self._lock:
            now = self._clock()
            if kind in self._last and now - self._last[kind] < self._interval:
                self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
                return None
            self._last[kind] = now
            return self._suppressed.pop(kind, 0)


class TroubleLog:
    """Warns of a trouble that lasts when it begins, and when it becomes another one."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._trouble = ""

    def tell(self, trouble: str) -> None:
        """Tell how it is now; nothing where all is well."""
        if trouble and trouble != self._trouble:
            self._logger.warning("%s", trouble)
        self._trouble = trouble


class CauseLog:
    """Logs exceptions of code: the trace once for each distinct cause, then samples of one line."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._sampler = Sampler(clock=clock)
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def error(self, message: str, error: BaseException, **fields: Any) -> None:
        """Log that `error` was raised; `fields` are for those who read the log by program."""
        cause = _cause(error)
        if self._is_new(cause):
            self._logger.error(message, exc_info=error, extra=fields)
            self._sampler.admit(cause)
            return
        kind = cause if cause in self._known else "other"
        suppressed = self._sampler.admit(kind)
        if suppressed is not None:
            self._logger.error("%s: %s", message, _last_line(error), extra={**fields, "suppressed": suppressed or None})

    def _is_new(self, cause: str) -> bool:
        with self._lock:
            if cause in self._known or len(self._known) >= _MOST_CAUSES:
                return False
            self._known.add(cause)
            return True


def _cause(error: BaseException) -> str:
    """What is the same when the same thing goes wrong again: where, and what it says but for its numbers."""
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    place = f"{frames[0].filename}:{frames[0].lineno}" if frames else ""
    text = _DIGITS.sub("0", str(error)[-_MOST_CHARACTERS:])
    return f"{type(error).__qualname__} {place} {text}"


def _last_line(error: BaseException) -> str:
    """Torch's texts are traces of their own, which end with the reason."""
    lines = str(error)[-_MOST_CHARACTERS:].strip().splitlines()
    return lines[-1] if lines else type(error).__name__
