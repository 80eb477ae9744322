"""What a server waits for until a test lets it go on: a gate for loading, a door for models of rows."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from tests.serving import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path


class Door:
    """Where a model of rows stands with a row that waits, see tests/torchscript_models.py."""

    def __init__(self, path: Path) -> None:
        """Make the door `path`; it is shut."""
        self.path = path
        self.shut()

    def shut(self) -> None:
        """Let whoever comes wait."""
        self.path.write_bytes(bytes(2))

    def open(self) -> None:
        """Let everybody pass, until it is shut again."""
        with self.path.open("r+b") as file:
            file.write(b"\1\1")


class Gate:
    """The labels file of a model is a named pipe; each time the server reads its config.pbtxt it waits at the gate."""

    def __init__(self, model: Path) -> None:
        """Put the gate into the directory `model`, whose config.pbtxt names no labels yet."""
        self._path = model / "labels.txt"
        os.mkfifo(self._path)
        config = model / "config.pbtxt"
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("output [ { ", 'output [ { label_filename: "labels.txt" '), encoding="utf-8")

    def wait(self) -> int:
        """Wait until the server stands at the gate; `os.close` of the result lets it pass, and come to the next one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (held := self._open()) is None:
            assert time.monotonic() < end, "the server never came to the gate"
            time.sleep(0.01)
        self._path.unlink()
        os.mkfifo(self._path)
        return held

    def _open(self) -> int | None:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None  # nobody reads yet

    def let_pass(self) -> None:
        """Wait for the server and let it pass."""
        os.close(self.wait())
