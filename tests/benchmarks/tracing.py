"""What traces cost: `python -m tests.benchmarks.tracing`.

Server CPU per request with a model that does nothing, of servers without traces, with 1 % and all requests sampled,
in alternating rounds; a collector in another process takes what they send.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE, Popen

from tests.benchmarks.serving import cpu_ms, started, write_repository
from tests.collector import Collector

SAMPLED = {"none": None, "1 %": "0.01", "all": "1"}


def collect() -> None:
    """Take traces until the process is ended."""
    with Collector() as collector:
        print(collector.endpoint, flush=True)
        signal.pause()


def variables(endpoint: str, ratio: str | None) -> dict[str, str]:
    """What asks a server for traces of so many requests."""
    if ratio is None:
        return {}
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **sampler}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=2000, help="requests in each round (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--concurrency", type=int, default=4, help="requests under way (default 4)")
    arguments = parser.parse_args()
    if arguments.collect:
        collect()
        return
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        write_repository(Path(directory))
        collector = stack.enter_context(
            Popen([sys.executable, "-m", "tests.benchmarks.tracing", "--collect"], stdout=PIPE, text=True)
        )
        stack.callback(collector.terminate)
        assert collector.stdout
        endpoint = collector.stdout.readline().strip()
        whole = ("server", "--model-repository", directory, "--grpc-port", "0", "--metrics-port", "0")
        servers = {}
        for name, ratio in SAMPLED.items():
            os.environ.update(variables(endpoint, ratio))
            servers[name] = stack.enter_context(started(*whole))
        rounds = [
            {name: cpu_ms(*server, 0, arguments) for name, server in servers.items()} for _ in range(arguments.rounds)
        ]
        print("sampled   server CPU ms per request   times that without traces (medians)")
        for name in SAMPLED:
            ratio = statistics.median(each[name] / each["none"] for each in rounds)
            print(f"{name:>7}   {statistics.median(each[name] for each in rounds):25.3f}   {ratio:5.2f}")


if __name__ == "__main__":
    main()
