"""A test under Locust, from its start to its end."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import gevent
import grpc.experimental.gevent as grpc_gevent
import locust.runners
import locust.stats
from gevent.event import Event
from locust.runners import MasterRunner, WorkerRunner

from loadtest import locust_page, locust_verdict
from loadtest.address import Address
from loadtest.arguments import objective
from loadtest.conduct import USAGE
from loadtest.locust_activity import Activity, CpuMeter
from loadtest.locust_arguments import asked_address, asked_url
from loadtest.locust_ledger import Ledger
from loadtest.locust_load import Load, asked_server
from loadtest.locust_watch import export, watch
from loadtest.locust_workers import Workers, obey
from loadtest.target import TargetError

if TYPE_CHECKING:
    from locust.env import Environment

    from loadtest.target import Target

_DATA = "coordserve"  # our part of what workers report
_PERCENTILES = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0]
_MILLISECONDS_PER_SECOND = 1000
_REPORT_SECONDS = 1.0  # between a worker's reports: much less than between two looks at them
_PATIENCE_SECONDS = 5.0  # with workers, and others that stop a test, beyond the requests' deadline


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
        try:
            _show(environment, test)
        except OSError as error:
            options = environment.parsed_options
            where = f"port {options.metrics_port} of {options.metrics_host}"
            print(f"loadtest: cannot serve metrics on {where}: {error.strerror}", file=sys.stderr)
            sys.exit(USAGE)
    events = environment.events
    events.test_start.add_listener(test.start)
    events.test_stop.add_listener(test.stop)
    events.report_to_master.add_listener(test.report)
    events.worker_report.add_listener(test.receive)
    events.quitting.add_listener(test.judge)


def _show(environment: Environment, test: LocustTest) -> None:
    """Let those who ask for it see how the test goes."""
    host, port = environment.parsed_options.metrics_host, environment.parsed_options.metrics_port
    showing = [locust_page.install(environment)] if environment.web_ui else []
    showing += [export(environment, host, port)] if port is not None else []
    if showing:
        gevent.spawn(watch, environment, test, showing)


def tenth_of_a_millisecond(response_time: float) -> float:
    """The bucket that Locust counts a response time in (ms): its own are whole milliseconds, and ten above 100."""
    return round(response_time, 1) if response_time < _MILLISECONDS_PER_SECOND else round(response_time)


class LocustTest:
    """The tests in one process of Locust, one after the other.

    Attributes:
        ledger: What has ended by now; of all workers, where this process is their master.
        kinds: The names of the kinds that are numbered there.
        address: The server's.
    """

    def __init__(self, environment: Environment) -> None:
        self.ledger = Ledger()
        self.kinds: tuple[str, ...] = ()
        self.address = Address(asked_url(environment))
        self._environment = environment
        self._load: Load | None = None
        self._target: Target | None = None
        environment.load = None  # what the users send through
        self._cpu = CpuMeter()
        self._client_cpu = 0.0  # of the busiest process, over the whole test
        self._lost: set[str] = set()
        self._was_started = self._is_judged = False
        self._over = Event()
        self._over.set()
        runner = environment.runner
        self._workers = Workers(runner, self._receive) if isinstance(runner, MasterRunner) else None
        self._tell_master = obey(runner, self._report) if isinstance(runner, WorkerRunner) else None

    @property
    def under_way(self) -> bool:
        """Whether a test has begun and not all of its requests have ended."""
        return not self._over.is_set()

    def start(self, **_more: Any) -> None:
        """Get ready to send, or end the test where that is not possible; a test may follow another one."""
        self._was_started = True
        self._over.clear()
        self.ledger = Ledger()
        self._client_cpu = 0.0
        self._lost = set()
        try:
            objective(self._environment.parsed_options)  # what it cannot be is said now, and not at the end
            self.address = asked_address(self._environment)
            if self._workers:
                self._workers.restart()
                with contextlib.suppress(TargetError):  # its workers may reach what this process cannot
                    self._target = asked_server(self.address, self._environment.parsed_options)
            else:
                self._get_ready_to_send()
        except (TargetError, ValueError, OSError) as error:
            self._give_up(str(error))
            gevent.spawn(self._environment.runner.quit)  # once Locust has started, or it would go on to start

    def _get_ready_to_send(self) -> None:
        self._load = Load(self._environment, self.address, self._environment.parsed_options)
        self.ledger = self._load.ledger
        self.kinds = self._load.kinds
        self._target = self._load.target
        self._environment.load = self._load
        self._cpu.restart()  # making the requests does not count

    def stop(self, **_more: Any) -> None:
        """Wait for the last answers, those of workers included."""
        if self._workers:
            self._lost = self._workers.stop(self._patience_seconds())
        if self._load:
            self._load.drain()
            self._client_cpu = self._cpu.mean()
            self._load = None
        if self._tell_master:
            self._tell_master()
            self._client_cpu = 0.0  # which it knows now; between tests there is nothing to tell
        self._over.set()

    def activity(self) -> Activity:
        """What this process, or its workers, are doing; nothing between tests."""
        if self._workers:
            return self._workers.activity()
        if not self._load:
            return Activity()
        return Activity(self._cpu.share(), self._load.in_flight)

    def report(self, data: dict[str, Any], **_more: Any) -> None:
        """Give the master what has ended since the last report."""
        data[_DATA] = self._report()

    def _report(self) -> dict[str, Any]:
        activity = self.activity()
        mean = self._cpu.mean() if self._load else self._client_cpu
        report = {"rows": self.ledger.take(), "kinds": self.kinds}
        return report | {"cpu": activity.cpu, "mean_cpu": mean, "in_flight": activity.in_flight}

    def receive(self, client_id: str, data: dict[str, Any], **_more: Any) -> None:
        """Take a worker's report."""
        if self._workers and _DATA in data:
            self._workers.report(client_id, data[_DATA])

    def _receive(self, report: dict[str, Any]) -> None:
        self.ledger.receive(report["rows"])
        self.kinds = tuple(report["kinds"]) or self.kinds
        self._client_cpu = max(self._client_cpu, report["mean_cpu"])

    def judge(self, **_more: Any) -> None:
        """Let the result decide on the exit code; workers leave that to their master."""
        self._end()
        environment = self._environment
        if isinstance(environment.runner, WorkerRunner) or self._is_judged:
            return
        self._is_judged = True  # Locust may say twice that it quits
        if len(self.ledger):
            environment.process_exit_code = locust_verdict.judge(
                environment, self.ledger.trace(), self.kinds, self._client_cpu, self._target, len(self._lost)
            )
        elif self._was_started and environment.process_exit_code is None:
            self._give_up("nothing was sent")

    def _end(self) -> None:
        """Stop what is under way: a signal makes Locust quit first and stop last."""
        runner = self._environment.runner
        runner.stop(**({"send_stop_to_client": False} if self._workers else {}))
        self._over.wait(self._patience_seconds())  # somebody else may have begun to stop it

    def _patience_seconds(self) -> float:
        return float(self._environment.parsed_options.deadline) + _PATIENCE_SECONDS

    def _give_up(self, why: str) -> None:
        print(f"loadtest: {why}", file=sys.stderr)
        self._environment.process_exit_code = USAGE
