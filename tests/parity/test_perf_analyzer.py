"""Triton's own load generator measures this server as it measures Triton."""

from __future__ import annotations

import ctypes.util
import os
import platform
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.triton.installing import installed, pip_install
from deploy.triton.wheel import DIRECTORY, installed_triton
from tests import serving
from tests.parity import models

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENTS = Path(__file__).with_name("perf-analyzer-requirements.txt")
# Few requests and no demand for steadiness: what is tested is that it can measure, not what.
WINDOWS = "--measurement-mode count_windows --measurement-request-count 20 -p 200 -r 3 -s 999"
DESCRIPTIONS = ("ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics")

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="perf_analyzer is there for x86-64 alone"),
    pytest.mark.skipif(not ctypes.util.find_library("b64"), reason="perf_analyzer needs the package libb64-0d"),
]


@pytest.fixture(scope="module")
def perf_analyzer() -> Path:
    """Where perf_analyzer and its libraries are installed."""
    installed_triton()  # makes the directory around it
    return installed(DIRECTORY / "perf_analyzer", REQUIREMENTS, partial(pip_install, REQUIREMENTS))


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
def test_it_measures(perf_analyzer: Path, server: serving.ServerProcess, load: str, rpc: str) -> None:
    """Its whole sequence of calls is answered, and it finds requests, executions and durations in our statistics."""
    before = server.metrics()
    target = f"-m pixels -i grpc -u {server.grpc_address}"
    result = subprocess.run(
        [perf_analyzer / "bin/perf_analyzer", *f"{target} {load} {WINDOWS}".split()],
        env=os.environ | {"LD_LIBRARY_PATH": str(perf_analyzer / "nvidia/cuda_runtime/lib")},
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * serving.PATIENCE_SECONDS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Successful request count:" in result.stdout
    assert "compute infer" in result.stdout
    after = server.metrics()
    for method in (*DESCRIPTIONS, rpc):
        calls = [samples.total("grpc_server_started", grpc_method=method) for samples in (before, after)]
        assert calls[1] > calls[0], method
    refused = [samples.total("grpc_server_handled", grpc_code="INVALID_ARGUMENT") for samples in (before, after)]
    assert refused[1] == refused[0]
