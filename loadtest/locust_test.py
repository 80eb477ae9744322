"""A test under Locust, from its start to its verdict: the same statistics as `python -m loadtest run`."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import grpc.experimental.gevent as grpc_gevent
import locust.runners
import locust.stats
from locust.runners import MasterRunner, WorkerRunner

from loadtest import locust_page, results
from loadtest.arguments import objective
from loadtest.conduct import USAGE
from loadtest.description import describe
from loadtest.environment import environment as describe_environment
from loadtest.locust_ledger import Ledger
from loadtest.locust_load import Load
from loadtest.locust_watch import DEFAULT_HOST, export, watch
from loadtest.report import write_report
from loadtest.run import Conditions, Run
from loadtest.summary import summarize
from loadtest.target import TargetError, find_target
from loadtest.trace import due_after
from loadtest.verdict import EXIT_CODES, INVALID

if TYPE_CHECKING:
    from locust.env import Environment

    from loadtest.trace import Trace

_DATA = "coordserve"  # our part of what workers report
_PERCENTILES = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0]
_MILLISECONDS_PER_SECOND = 1000
_REPORT_SECONDS = 1.0  # between a worker's reports: much less than between two looks at them


def install(environment: Environment, **_more: Any) -> None:
    """Make a process of Locust ready: one that offers load, one that gathers, or one that does both."""
    grpc_gevent.init_gevent()
    locust.stats.bucket_response_time = tenth_of_a_millisecond
    locust.stats.PERCENTILES_TO_REPORT = _PERCENTILES
    locust.stats.PERCENTILES_TO_STATISTICS = [0.5, 0.99, 0.999]
    locust.stats.PERCENTILES_TO_CHART = [0.5, 0.99]
    locust.runners.WORKER_REPORT_INTERVAL = _REPORT_SECONDS
    test = LocustTest(environment)
    if not isinstance(environment.runner, WorkerRunner):
        _show(environment, test)
    events = environment.events
    events.test_start.add_listener(test.start)
    events.test_stop.add_listener(test.stop)
    events.report_to_master.add_listener(test.report)
    events.worker_report.add_listener(test.receive)
    events.quitting.add_listener(test.judge)


def _show(environment: Environment, test: LocustTest) -> None:
    """Let those who ask for it see how the test goes."""
    port = environment.parsed_options.metrics_port
    showing = [locust_page.install(environment)] if environment.web_ui else []
    showing += [export(environment, port)] if port is not None else []
    if showing:
        gevent.spawn(watch, environment, test, showing)


def tenth_of_a_millisecond(response_time: float) -> float:
    """The bucket that Locust counts a response time in (ms): its own are whole milliseconds, and ten above 100."""
    return round(response_time, 1) if response_time < _MILLISECONDS_PER_SECOND else round(response_time)


class LocustTest:
    """One test in one process of Locust.

    Attributes:
        ledger: What has ended by now; of all workers, where this process is their master.
        kinds: The names of the kinds that are numbered there.
        client_cpu: The highest share of a core that this process, or a worker, has used.
    """

    def __init__(self, environment: Environment) -> None:
        self.ledger = Ledger()
        self.kinds: tuple[str, ...] = ()
        self._environment = environment
        self._load: Load | None = None
        environment.load = None  # what the users send through
        self.client_cpu = 0.0
        self._look = (time.perf_counter(), time.process_time())

    def start(self, **_more: Any) -> None:
        """Get ready to send, or end the test where that is not possible; a test may follow another one."""
        self.ledger = Ledger()
        self.client_cpu = 0.0
        self._look = (time.perf_counter(), time.process_time())
        if isinstance(self._environment.runner, MasterRunner):
            return
        try:
            self._load = Load(self._environment, self._environment.parsed_options)
        except (TargetError, ValueError, OSError) as error:
            self._give_up(error)
        else:
            self.ledger = self._load.ledger
            self.kinds = self._load.kinds
            self._environment.load = self._load
            self._look = (time.perf_counter(), time.process_time())  # making the requests does not count

    def stop(self, **_more: Any) -> None:
        """Wait for the last answers."""
        if self._load:
            self._load.drain()
            self._load = None
            self._measure_cpu()

    def report(self, data: dict[str, Any], **_more: Any) -> None:
        """Give the master what has ended since the last report."""
        self._measure_cpu()
        data[_DATA] = {"rows": self.ledger.take(), "kinds": self.kinds, "cpu": self.client_cpu}

    def receive(self, data: dict[str, Any], **_more: Any) -> None:
        """Take a worker's report."""
        if _DATA in data:
            self.ledger.receive(data[_DATA]["rows"])
            self.kinds = tuple(data[_DATA]["kinds"]) or self.kinds
            self.client_cpu = max(self.client_cpu, data[_DATA]["cpu"])

    def judge(self, **_more: Any) -> None:
        """Tell and write the result, and let it decide on the exit code; workers leave that to their master."""
        environment = self._environment
        if isinstance(environment.runner, WorkerRunner) or not len(self.ledger):
            return
        options = environment.parsed_options
        trace = due_after(self.ledger.trace(), options.warm_up)
        if not len(trace):
            print("loadtest: the test ended within its warm-up", file=sys.stderr)
            environment.process_exit_code = EXIT_CODES[INVALID]
            return
        run = self._run(trace, options.seed)
        summary = summarize([run], objective(options), scenario="locust")
        print(describe(summary))
        if options.output:
            target = find_target(environment.host or DEFAULT_HOST, options.model, options.payload, options.api)
            results.write(Path(options.output), [run], summary | describe_environment(target, options))
            write_report(Path(options.output))
        environment.process_exit_code = EXIT_CODES[summary["verdict"]]

    def _run(self, trace: Trace, seed: int) -> Run:
        """What there is to be judged."""
        seconds = float(trace.due[-1]) + 1e-9
        count = len(self.kinds)
        return Run(
            "locust",
            trace,
            seconds,
            Conditions(self.client_cpu),
            rate=len(trace) / seconds,
            seed=seed,
            kinds=self.kinds,
            images=(1,) * count,
            good=(True,) * count,
        )

    def _measure_cpu(self) -> None:
        """Keep the highest share of a core that this process used between two looks."""
        now, used = time.perf_counter(), time.process_time()
        (then, before), self._look = self._look, (now, used)
        if now > then:
            self.client_cpu = max(self.client_cpu, (used - before) / (now - then))

    def _give_up(self, error: Exception) -> None:
        print(f"loadtest: {error}", file=sys.stderr)
        self._environment.process_exit_code = USAGE
        gevent.spawn(self._environment.runner.quit)  # once Locust has started, or it would go on to start
