"""Runs against one target, one after another, with the same senders: what scenarios and the search are made of."""

from __future__ import annotations

import contextlib
import math
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from loadtest import schedule, server_statistics, warm_up
from loadtest.calibration import SHARE_OF_CEILING
from loadtest.host import HostWatch, pinned, process_cpu_seconds
from loadtest.options import Options
from loadtest.progress import Progress
from loadtest.run import Conditions, Run
from loadtest.sender import SenderSettings
from loadtest.senders import Senders, ended
from loadtest.termination import SIGNALS
from loadtest.trace import NOTHING, due_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from loadtest.progress import Observer
    from loadtest.schedule import Schedule
    from loadtest.senders import Sent, Watch
    from loadtest.target import Target
    from loadtest.trace import Trace
    from loadtest.workload import Workload

_PROBE_LEAD_SECONDS = 2.0
_LEAST_SECONDS = 1e-3  # of a run that was stopped before it began
_Result = TypeVar("_Result")


class Interrupted(Exception):  # noqa: N818 - it is no error that somebody has seen enough
    """Somebody asked to stop; what was seen until then is in the session's last run, which is partial."""


class Session:
    """Offers load to a target; use as a context manager, which starts and ends the sending processes.

    Attributes:
        target: Where the load goes.
        workload: What is sent.
        runs: All runs so far, warm-ups left out; the last one is partial after an interruption.
        outlook: What is to be said to observers of the whole that a run is part of.

    Raises:
        TargetError: The server cannot be reached.
    """

    def __init__(
        self,
        target: Target,
        workload: Workload,
        options: Options | None = None,
        scenario: str = "",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.target = target
        self.workload = workload
        self.runs: list[Run] = []
        self.outlook: Callable[[], str] = str
        self._options = options or Options()
        self._scenario = scenario
        self._observers = observers
        self._interrupted = False
        self._begun = 0
        self._warm_up_seconds = 0.0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        options = self._options
        with contextlib.ExitStack() as stack:
            if options.server_pid is not None and options.server_cpus:
                stack.enter_context(pinned(options.server_pid, options.server_cpus))
            settings = SenderSettings(
                address=self.target.address,
                messages=self.workload.messages,
                deadline_seconds=options.deadline_seconds,
                most_in_flight=options.most_in_flight,
                compare_every=options.compare_every,
                cpus=options.cpus,
            )
            senders = Senders(settings, options.processes, stopped=lambda: self._interrupted)
            self._senders = stack.enter_context(senders)
            self._channel = stack.enter_context(self.target.address.channel())
            for number in SIGNALS:
                stack.callback(signal.signal, number, signal.signal(number, self._interrupt))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupted = True

    @property
    def deadline_seconds(self) -> float:
        """Of each call."""
        return self._options.deadline_seconds

    @property
    def most_in_flight(self) -> int:
        """Calls that may be under way."""
        return self._options.most_in_flight

    @property
    def most_rate(self) -> float:
        """The highest rate that the generator reports on, requests a second; infinite if it was not measured."""
        ceiling = self._options.ceiling_rate
        return math.inf if ceiling is None else SHARE_OF_CEILING * ceiling

    def open_loop(
        self,
        due: Schedule,
        seconds: float,
        *,
        label: str,
        rate: float | None = None,
        seed: int = 0,
        lead_seconds: float = 0.0,
        judged: bool = True,
    ) -> Run:
        """Send a request at each instant of `due`, whatever the server does; wait for the last answer.

        Args:
            due: [N] instants, ascending, in seconds.
            seconds: For how long requests are due, `lead_seconds` included.
            label: What distinguishes the run.
            rate: Requests a second that the schedule means; by default what it has.
            seed: Of the schedule.
            lead_seconds: What is due in the first seconds is sent and does not count: the server's queue has then
                its usual length.
            judged: Whether the run counts for the verdict.

        Raises:
            ValueError: Nothing is due.
            Interrupted: Somebody asked to stop.
        """
        if not len(due):
            raise ValueError("no request falls into so short a time at this rate")
        offered = rate if rate is not None else len(due) / seconds
        run = Run(label, NOTHING, seconds - lead_seconds, Conditions(0.0), offered, seed=seed, judged=judged)
        return self._measure(run, lambda watch: self._senders.open_loop(due, watch), lead_seconds)

    def closed_loop(self, callers: int, seconds: float, *, label: str, judged: bool = True) -> Run:
        """Let `callers` send for `seconds`, each its next request when its last one has ended.

        Raises:
            Interrupted: Somebody asked to stop.
        """
        run = Run(label, NOTHING, seconds, Conditions(0.0), concurrency=callers, judged=judged)
        return self._measure(run, lambda watch: self._senders.closed_loop(callers, seconds, watch))

    def probe(self, rate: float, seconds: float, seed: int) -> Run:
        """A run of Poisson arrivals whose first two seconds do not count.

        Raises:
            Interrupted: Somebody asked to stop.
        """
        total = seconds + _PROBE_LEAD_SECONDS
        due = schedule.poisson(rate, total, seed)
        label = f"{rate:.4g}/s, seed {seed}"
        return self.open_loop(due, total, label=label, rate=rate, seed=seed, lead_seconds=_PROBE_LEAD_SECONDS)

    def warm_up(self, rate: float) -> None:
        """Offer `rate` until latencies have settled, see `warm_up.until_steady`; nothing of it counts.

        Raises:
            Interrupted: Somebody asked to stop.
        """

        def window(seconds: float, number: int) -> Trace:
            due = schedule.constant(rate, seconds)
            return self.open_loop(due, seconds, label=f"warm-up {number}", rate=rate, judged=False).trace

        self._warm_up_seconds = self.discard(lambda: warm_up.until_steady(window, rate, self._options.warm_up_seconds))

    def discard(self, load: Callable[[], _Result]) -> _Result:
        """Do `load` and forget its runs.

        Raises:
            Interrupted: Somebody asked to stop: the run before it, if any, is the last one, and partial.
        """
        counted = len(self.runs)
        try:
            return load()
        except Interrupted:
            if counted:
                self.runs[counted - 1] = replace(self.runs[counted - 1], partial=True)
            raise
        finally:
            del self.runs[counted:]

    def _measure(self, run: Run, send: Callable[[Watch], Sent], lead_seconds: float = 0.0) -> Run:
        models = [model.model for model in self.target.models]
        before = server_statistics.snapshot(self._channel, models)
        host = HostWatch(self._senders.pids)
        cpu_before = process_cpu_seconds(self._options.server_pid)
        sent = send(self._watch(run, lead_seconds, host))
        cpu_after = process_cpu_seconds(self._options.server_pid)
        after = server_statistics.snapshot(self._channel, models)
        messages = self.workload.messages
        done = replace(
            run,
            trace=due_after(sent.trace, lead_seconds),
            seconds=_seconds(run.seconds, sent.cut_seconds, lead_seconds),
            conditions=Conditions(sent.cpu, host.steal(), sent.clock_drift, self._options.ceiling_rate),
            kinds=self.workload.kinds,
            images=tuple(message.images for message in messages),
            good=tuple(message.good for message in messages),
            server=server_statistics.split(before, after),
            server_cpu_ms=_cpu_ms(cpu_before, cpu_after, int(np.count_nonzero(sent.trace.ok))),
            warm_up_seconds=self._warm_up_seconds,
            partial=sent.stopped or self._interrupted,
        )
        self.runs.append(done)
        if self._interrupted:
            raise Interrupted
        return done

    def _watch(self, run: Run, lead_seconds: float, host: HostWatch) -> Watch:
        number = self._begun
        self._begun += 1

        def watch(rows: NDArray[np.void], elapsed: float) -> bool:
            if self._observers:
                progress = Progress(
                    run=number,
                    label=run.label,
                    target=self.target.url,
                    scenario=self._scenario,
                    elapsed_seconds=elapsed - lead_seconds,
                    total_seconds=run.seconds,
                    rate=run.rate,
                    trace=due_after(ended(rows), lead_seconds),
                    in_flight=int(np.count_nonzero(~np.isnan(rows["sent"]) & np.isnan(rows["done"]))),
                    client_cpu=host.busiest_cpu(),
                    outlook=self.outlook(),
                )
                for observer in self._observers:
                    observer(progress)
            return True

        return watch


def _seconds(planned: float, cut: float | None, lead: float) -> float:
    """For how long requests were due; rates are told of that, also where a run was cut short."""
    return planned if cut is None else min(planned, max(cut - lead, _LEAST_SECONDS))


def _cpu_ms(before: float | None, after: float | None, answers: int) -> float | None:
    """CPU time for each answer."""
    return None if before is None or after is None or not answers else max(0.0, after - before) / answers * 1e3
