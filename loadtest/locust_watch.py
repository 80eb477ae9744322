"""Looks at a running test of Locust every few seconds, for those who show it: the page and Prometheus."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent

from loadtest import server_statistics
from loadtest.locust_arguments import asked_url
from loadtest.metrics import serve
from loadtest.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from locust.env import Environment

    from loadtest.address import Address
    from loadtest.locust_activity import Activity
    from loadtest.locust_test import LocustTest
    from loadtest.server_statistics import ServerSplit
    from loadtest.trace import Trace

_PERIOD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """What happened since the last look.

    Attributes:
        number: Of the look.
        seconds: Since the last one.
        trace: Requests that have ended, of all workers.
        server: What the server says of the same time; None when it says nothing.
        rate: Requests a second that the users offer.
        activity: What the processes that send are doing.
    """

    number: int
    seconds: float
    trace: Trace
    server: ServerSplit | None
    rate: float
    activity: Activity


def watch(environment: Environment, test: LocustTest, showing: Sequence[Callable[[Look], None]]) -> None:
    """Look until the process ends, and tell `showing` while a test is under way, and once that it no longer is."""
    before, then, number, was_under_way = None, time.perf_counter(), 0, False
    while True:
        gevent.sleep(_PERIOD_SECONDS)
        under_way = test.under_way
        if under_way or was_under_way:
            statistics, now = _statistics(test.address, environment.parsed_options.model), time.perf_counter()
            rate = environment.runner.user_count * environment.parsed_options.rate_per_user if under_way else 0.0
            server = server_statistics.split(before, statistics)
            look = Look(number, now - then, test.ledger.latest(), server, rate, test.activity())
            for show in showing:
                show(look)
            before, then, number = statistics, now, number + 1
        else:
            before, then = None, time.perf_counter()
        was_under_way = under_way


def _statistics(address: Address, models: Sequence[str]) -> Any:
    with address.channel() as channel:
        return server_statistics.snapshot(channel, models or [""])


def export(environment: Environment, host: str, port: int) -> Callable[[Look], None]:
    """Serve `loadgen_*` on `port`; gives what is to be told of each look.

    Raises:
        OSError: The port is taken, or the host is not this machine.
    """
    metrics, _ = serve(host, port)

    def show(look: Look) -> None:
        metrics(
            Progress(
                run=look.number,  # the metrics add up runs, and each look is one: nothing is counted twice
                label="locust",
                target=asked_url(environment),
                scenario="locust",
                elapsed_seconds=0.0,
                total_seconds=0.0,
                rate=look.rate,
                trace=look.trace,
                in_flight=look.activity.in_flight,
                client_cpu=look.activity.cpu,
            )
        )

    return show
