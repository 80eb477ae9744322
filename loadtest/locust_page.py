"""A page of Locust's web interface, at /open-loop: what Locust's own charts do not tell."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flask import Response, jsonify

from loadtest.percentiles import quantile

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment
    from numpy.typing import NDArray

    from loadtest.locust_watch import Look

_POINTS = 300
_PAGE = Path(__file__).with_name("locust_page.html")


@dataclass(frozen=True, slots=True)
class Point:
    """A period of a test; latencies in milliseconds, None where there is nothing to tell.

    Attributes:
        time: Seconds since the epoch.
        offered: Requests a second that the users mean to send.
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


def install(environment: Environment) -> Callable[[Look], None]:
    """Add the page to the web interface; gives what is to be told of each look."""
    points: deque[Point] = deque(maxlen=_POINTS)
    web_ui = environment.web_ui

    def page() -> Response:
        return Response(_PAGE.read_bytes(), mimetype="text/html")

    def data() -> Response:
        return jsonify([asdict(point) for point in points])

    web_ui.app.add_url_rule("/open-loop", "open_loop", web_ui.auth_required_if_enabled(page))
    web_ui.app.add_url_rule("/open-loop/data", "open_loop_data", web_ui.auth_required_if_enabled(data))
    return lambda look: points.append(_point(look))


def _point(look: Look) -> Point:
    trace, server = look.trace, look.server
    ok = trace.select(trace.ok)
    return Point(
        time=time.time(),
        offered=look.rate,
        answered=len(ok) / look.seconds,
        failed=(len(trace) - len(ok)) / look.seconds,
        response_p50=_milliseconds(trace.response_seconds, 0.5),
        response_p99=_milliseconds(trace.response_seconds, 0.99),
        service_p99=_milliseconds(ok.service_seconds, 0.99),
        lag_p99=_milliseconds(trace.lag_seconds, 0.99),
        batch=server.mean_batch if server else None,
        queue=server.queue_ms if server else None,
    )


def _milliseconds(seconds: NDArray[np.float64], q: float) -> float | None:
    found = quantile(np.sort(seconds), q) if len(seconds) else np.inf
    return found * 1e3 if np.isfinite(found) else None
