"""Triton's own load generator measures this server as it measures Triton."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import perf_analyzer, serving
from tests.parity import models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Few requests and no demand for steadiness: what is tested is that it can measure, not what.
WINDOWS = "--measurement-mode count_windows --measurement-request-count 20 -p 200 -r 3 -s 999"
DESCRIPTIONS = ("ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics")

pytestmark = perf_analyzer.NEEDED


@pytest.fixture(scope="module")
def program() -> Path:
    """Where perf_analyzer and its libraries are installed."""
    return perf_analyzer.install()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.ServerProcess]:
    """This server."""
    repository = tmp_path_factory.mktemp("repository")
    models.write_repository(repository)
    with serving.started(repository) as process:
        yield process


@pytest.mark.parametrize(
    ("load", "rpc"),
    [
        ("--concurrency-range 1", "ModelInfer"),
        ("-a --streaming --concurrency-range 4", "ModelStreamInfer"),
        ("-a --request-rate-range 200 --request-distribution poisson", "ModelInfer"),
        ("-b 4 --concurrency-range 2 --percentile 95", "ModelInfer"),
    ],
)
def test_it_measures(program: Path, server: serving.ServerProcess, load: str, rpc: str) -> None:
    """Its whole sequence of calls is answered, and it finds requests, executions and durations in our statistics."""
    before = server.metrics()
    target = f"-m pixels -i grpc -u {server.grpc_address}"
    result = perf_analyzer.run(program, *f"{target} {load} {WINDOWS}".split())
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Successful request count:" in result.stdout
    assert "compute infer" in result.stdout
    after = server.metrics()
    for method in (*DESCRIPTIONS, rpc):
        calls = [samples.total("grpc_server_started", grpc_method=method) for samples in (before, after)]
        assert calls[1] > calls[0], method
    refused = [samples.total("grpc_server_handled", grpc_code="INVALID_ARGUMENT") for samples in (before, after)]
    assert refused[1] == refused[0]
