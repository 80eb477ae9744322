"""What metrics cost: `python -m tests.benchmarks.metrics`.

CPU microseconds of everything that is counted for one request that is executed alone and answered, the dearest one. And
what a scrape of a server with as many methods as ours costs: bytes and CPU milliseconds. Best of several rounds, since
other work only ever adds.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc

from server.instance import Execution, Reply
from server.metrics.exposition import OPENMETRICS, TEXT, Format
from server.metrics.page import MetricsPage
from server.repository import ModelRepository
from server.rpc_metrics import RpcMetrics
from server.services.outcome import Outcome
from server.statistics import ModelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = 30
MODELS = 4
CLASSES = 10


def count_request(model: Any, method: Any, execution: Execution[Any]) -> None:
    """All that is counted on the way of an image that the Classifier answers."""
    method.started()
    with Outcome(model, "a-request") as outcome:
        model.statistics.decoded(2_000_000)
        model.statistics.executed(1, execution)
        outcome.answered(1, Reply("a", 1_000_000, 1, execution))
        model.statistics.predicted("cat", 0.9)
    method.finished(grpc.StatusCode.OK, 0.012)


def request_microseconds(requests: int) -> float:
    """CPU of one request."""
    model = SimpleNamespace(statistics=ModelStatistics())
    method = RpcMetrics().observe("unary", "a.Service", "Do")
    execution = Execution(["a"], 2_000_000, 2_100_000, 9_000_000, 9_100_000)
    started = time.thread_time()
    for _ in range(requests):
        count_request(model, method, execution)
    return (time.thread_time() - started) / requests * 1e6


def full_page(directory: Path) -> MetricsPage:
    """A page with as much on it as a server with some models has."""
    rpc_metrics = RpcMetrics()
    for number in range(METHODS):
        rpc_metrics.observe("unary", "inference.GRPCInferenceService", f"Method{number}")
    repository = ModelRepository(directory, _load_nothing)
    models = [_model(f"model{number}") for number in range(MODELS)]
    repository.loaded = lambda: models  # type: ignore[method-assign] # models that need no files
    return MetricsPage(repository, "1.2.3", [rpc_metrics.families])


def _load_nothing(*_arguments: object) -> Any:
    raise AssertionError


def _model(name: str) -> Any:
    labels = {"OUTPUT__0": tuple(f"class {number}" for number in range(CLASSES))}
    config = SimpleNamespace(name=name, labels=labels, outputs=[SimpleNamespace(name="OUTPUT__0")])
    batcher = SimpleNamespace(waiting=0, busy=0, busy_seconds=0.0)
    facts = {"version": 1, "queue_capacity": 1024, "instances": 1, "load_seconds": 1.0}
    return SimpleNamespace(config=config, statistics=ModelStatistics(), batcher=batcher, **facts)


def cpu_ms(call: Callable[[], object]) -> float:
    """CPU of one call."""
    started = time.thread_time()
    call()
    return (time.thread_time() - started) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="requests in each round (default 20000)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds (default 10)")
    arguments = parser.parse_args()
    rounds = range(arguments.rounds)
    print(f"one request: {min(request_microseconds(arguments.requests) for _ in rounds):.1f} us")
    with tempfile.TemporaryDirectory() as directory:
        page = full_page(Path(directory))
        for name, form in (("text", TEXT), ("OpenMetrics", OPENMETRICS)):
            _print_scrape(name, page, form, rounds)


def _print_scrape(name: str, page: MetricsPage, form: Format, rounds: range) -> None:
    body = page.render(form)
    render, zipped = partial(page.render, form), gzip.compress(body, 1)
    cost = min(cpu_ms(render) for _ in rounds)
    zipping = min(cpu_ms(lambda: gzip.compress(body, 1)) for _ in rounds)
    print(
        f"a scrape, {name}: {len(body.splitlines())} lines, {len(body)} bytes in {cost:.2f} ms,"
        f" gzip {len(zipped)} bytes in {zipping:.2f} ms"
    )


if __name__ == "__main__":
    main()
