"""A terminal for commands under test, read all the while: one that nobody reads stops who writes to it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Screen:
    """Use as a context manager: `end` is what a command gets as an output, `text` what was shown, once it is closed."""

    def __enter__(self) -> Self:
        self._ours, self.end = os.openpty()
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.end)
        self._reader.join()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """All that was shown."""
        return b"".join(self._parts).decode()

    def _read(self) -> None:
        try:
            while part := os.read(self._ours, 65536):
                self._parts.append(part)
        except OSError:  # how Linux tells that nobody has the other end any more
            pass
