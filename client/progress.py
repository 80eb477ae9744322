"""The bar that shows how far bulk work has come."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(title: str, total: int, *, whole_lines: bool = False) -> Iterator[Callable[[], None]]:
    """Shows a bar on standard error, if that is a terminal and there is something to wait for.

    Results above a bar are folded at the terminal's width; where `whole_lines` must not be, there is none.
    Yields what advances it by one.
    """
    if total == 1 or not sys.stderr.isatty() or (whole_lines and sys.stdout.isatty()):
        yield lambda: None
        return
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Results go above the bar where both share a terminal; a file or a pipe gets them undisturbed.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
