"""What a person sees while load is offered: a few lines that change in place, or now and then a plain one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.percentiles import quantile, tells
from loadtest.trace import DROPPED, OUTCOME
from loadtest.validity import MOST_CPU

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from loadtest.progress import Progress
    from loadtest.trace import Trace

_SHOWN = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_PLAIN_EVERY_SECONDS = 10.0
_LABEL_WIDTH, _BAR_WIDTH = 26, 30
_LATE_MS = 1.0


class Terminal:
    """An observer of sessions; use as a context manager, which leaves the terminal as it was.

    On a terminal the lines change twice a second. Elsewhere, as in a log, a line comes every ten seconds of a run, and
    none of a run that is shorter.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next_line = (-1, _PLAIN_EVERY_SECONDS)  # a run, and when in it the next plain line is due

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how a run stands."""
        if self._console.is_terminal:
            whole = [Text(f"{progress.scenario}: {progress.outlook}")] if progress.outlook else []
            self._live.update(Group(*whole, _head(progress), _figures(progress)), refresh=True)
        else:
            self._plain(progress)

    def _plain(self, progress: Progress) -> None:
        run, due = self._next_line
        if run != progress.run:
            due = _PLAIN_EVERY_SECONDS
        if progress.elapsed_seconds >= due:
            self._console.print(line(progress), highlight=False, markup=False, soft_wrap=True)
            due = progress.elapsed_seconds + _PLAIN_EVERY_SECONDS
        self._next_line = (progress.run, due)


def line(progress: Progress) -> str:
    """How a run stands, in one line."""
    times = "".join(f", {name} {text} ms" for name, text in _percentiles(progress.trace).items())
    outlook = f"; {progress.outlook}" if progress.outlook else ""
    return (
        f"{progress.label}: {max(0.0, progress.elapsed_seconds):.0f} of {progress.total_seconds:.0f} s, "
        f"{_rates(progress)}{times}, {_failed(progress.trace)}{outlook}"
    )


def _head(progress: Progress) -> Table:
    """What is under way, how far it is, and how long it takes on."""
    row = Table.grid(padding=(0, 2))
    elapsed = min(max(0.0, progress.elapsed_seconds), progress.total_seconds)
    left = progress.total_seconds - elapsed
    name = Text(progress.label, style="bold", overflow="ellipsis", no_wrap=True)
    name.truncate(_LABEL_WIDTH, overflow="ellipsis")
    bar = ProgressBar(total=progress.total_seconds, completed=elapsed, width=_BAR_WIDTH)
    row.add_row(name, bar, f"{left:.0f} s left" if left else "waiting for the last answers", progress.target)
    return row


def _figures(progress: Progress) -> Table:
    """What was seen so far."""
    trace = progress.trace
    late = np.sort(trace.lag_seconds)
    lag_ms = quantile(late, 0.99) * 1e3 if len(late) else 0.0
    grid = Table.grid(padding=(0, 3))
    grid.add_row(Text(_rates(progress)), Text(f"{progress.in_flight} in flight"), _failures(trace))
    grid.add_row(
        Text("  ".join(f"{name} {text} ms" for name, text in _percentiles(trace).items())),
        Text(f"sent {lag_ms:.1f} ms late (p99)", style="yellow" if lag_ms > _LATE_MS else "dim"),
        Text(f"client CPU {progress.client_cpu:.0%}", style="yellow" if progress.client_cpu > MOST_CPU else "dim"),
    )
    return grid


def _rates(progress: Progress) -> str:
    answered = np.count_nonzero(progress.trace.ok) / max(progress.elapsed_seconds, 1e-9)
    answered_text = f"{max(0.0, answered):.1f}/s answered"
    return answered_text if progress.rate is None else f"{progress.rate:.1f}/s offered, {answered_text}"


def _percentiles(trace: Trace) -> dict[str, str]:
    """Response times so far, in milliseconds, of those percentiles that enough requests tell."""
    ascending = np.sort(trace.response_seconds) * 1e3
    told = {name: quantile(ascending, q) for name, q in _SHOWN.items() if tells(len(ascending), q)}
    return {name: f"{value:.1f}" if np.isfinite(value) else "∞" for name, value in told.items()}


def _failures(trace: Trace) -> Text:
    return Text(_failed(trace), style="dim" if trace.ok.all() else "bold red")


def _failed(trace: Trace) -> str:
    dropped = int(np.count_nonzero(trace.outcome == OUTCOME[DROPPED]))
    return f"{int(np.count_nonzero(~trace.ok)) - dropped} errors, {dropped} dropped"
