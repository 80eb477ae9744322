"""A page of Locust's web interface, at /open-loop: what Locust's own charts do not tell."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import grpc
import numpy as np
from flask import Response, jsonify

from loadtest import server_statistics
from loadtest.percentiles import quantile
from loadtest.target import CHANNEL_OPTIONS

if TYPE_CHECKING:
    from locust.env import Environment
    from numpy.typing import NDArray

    from loadtest.locust_test import LocustTest
    from loadtest.server_statistics import ServerSplit
    from loadtest.trace import Trace

_PERIOD_SECONDS = 2.0
_POINTS = 300
_PAGE = Path(__file__).with_name("locust_page.html")


@dataclass(frozen=True, slots=True)
class Point:
    """A period of a test; latencies in milliseconds, None where there is nothing to tell.

    Attributes:
        time: Seconds since the epoch.
        offered: Requests a second that were due and have ended.
        answered: Right answers a second.
        failed: Other ends a second, requests that were dropped among them.
        response_p50: From the instant due.
        response_p99: Likewise.
        service_p99: From the instant sent: the difference is what waiting users would not have seen.
        lag_p99: From due to sent.
        batch: The server's mean batch.
        queue: Its mean queue time.
    """

    time: float
    offered: float
    answered: float
    failed: float
    response_p50: float | None
    response_p99: float | None
    service_p99: float | None
    lag_p99: float | None
    batch: float | None
    queue: float | None


def install(environment: Environment, test: LocustTest) -> None:
    """Add the page to the web interface and begin to watch."""
    points: deque[Point] = deque(maxlen=_POINTS)
    app = environment.web_ui.app

    def page() -> Response:
        return Response(_PAGE.read_bytes(), mimetype="text/html")

    def data() -> Response:
        return jsonify([asdict(point) for point in points])

    app.add_url_rule("/open-loop", "open_loop", environment.web_ui.auth_required_if_enabled(page))
    app.add_url_rule("/open-loop/data", "open_loop_data", environment.web_ui.auth_required_if_enabled(data))
    gevent.spawn(_watch, environment, test, points)


def _watch(environment: Environment, test: LocustTest, points: deque[Point]) -> None:
    before, then = None, time.time()
    while True:
        gevent.sleep(_PERIOD_SECONDS)
        if environment.runner.state not in ("spawning", "running", "stopping"):
            before, then = None, time.time()
            continue
        statistics, now = _statistics(environment), time.time()
        points.append(point(test.ledger.latest(), now - then, server_statistics.split(before, statistics)))
        before, then = statistics, now


def point(trace: Trace, seconds: float, server: ServerSplit | None) -> Point:
    """What the requests of one period say, and the server of the same time."""
    ok = trace.select(trace.ok)
    return Point(
        time=time.time(),
        offered=len(trace) / seconds,
        answered=len(ok) / seconds,
        failed=(len(trace) - len(ok)) / seconds,
        response_p50=_milliseconds(ok.response_seconds, 0.5),
        response_p99=_milliseconds(ok.response_seconds, 0.99),
        service_p99=_milliseconds(ok.service_seconds, 0.99),
        lag_p99=_milliseconds(trace.lag_seconds, 0.99),
        batch=server.mean_batch if server else None,
        queue=server.queue_ms if server else None,
    )


def _milliseconds(seconds: NDArray[np.float64], q: float) -> float | None:
    return quantile(np.sort(seconds), q) * 1e3 if len(seconds) else None


def _statistics(environment: Environment) -> object:
    models = environment.parsed_options.model
    with grpc.insecure_channel(environment.host or "127.0.0.1:8001", options=CHANNEL_OPTIONS) as channel:
        return server_statistics.snapshot(channel, models or [""])
