"""Keeping a model version alive while somebody works with it."""

from __future__ import annotations

import threading


class Leased:
    """Something that is retired at some time, and ends only once nobody holds a lease any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases = 0
        self._retired = False
        self._closed = threading.Event()

    def acquire(self) -> bool:
        """Take a lease; false when the version is retired and another one must be looked up."""
        with self._lock:
            self._leases += not self._retired
            return not self._retired

    def release(self) -> None:
        """Give a lease back; the last one ends a retired version."""
        with self._lock:
            self._leases -= 1
            last = self._retired and self._leases == 0
        if last:
            self._close()

    def retire(self) -> None:
        """Let the version end once nobody holds a lease; no new request may reach it any more."""
        with self._lock:
            self._retired = True
            unused = self._leases == 0
        if unused:
            self._close()

    def wait_closed(self, timeout_seconds: float | None = None) -> bool:
        """Wait until a retired version has answered everything and its threads have ended."""
        return self._closed.wait(timeout_seconds)

    def _close(self) -> None:
        """End, without keeping whoever gives back the last lease waiting."""
        self._closed.set()
