"""Generators that measure the same server see the same latency: ours, and Triton's perf_analyzer."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import perf_analyzer, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = perf_analyzer.NEEDED

_RATE = 50
# A model that takes a tenth of a second, whatever else the machine does, and many instances: no request waits.
_CONFIG = """
    backend: "python"
    max_batch_size: 1
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [8, 8, 3] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] label_filename: "labels.txt" } ]
    instance_group [ { count: 32 kind: KIND_CPU } ]
"""
_MODEL = """
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.1)
        scores = pb_utils.Tensor("OUTPUT__0", np.full([1, 3], 1 / 3, np.float32))
        return [pb_utils.InferenceResponse([scores]) for _ in requests]
"""


def write_pause(repository: Path) -> None:
    """The model `pause` in a repository."""
    version = repository / "pause" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(_MODEL)
    (repository / "pause" / "config.pbtxt").write_text(_CONFIG)
    (repository / "pause" / "labels.txt").write_text("a\nb\nc\n")


def ours_p50_ms(url: str, directory: Path) -> float:
    """What `python -m loadtest` finds."""
    command = [sys.executable, "-m", "loadtest", "run", "poisson", "--url", url, "--payload", "uint8", "--rate"]
    command += [str(_RATE), "--duration", "6s", "--no-calibration", "--warm-up", "0", "--output", str(directory)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert finished.returncode in (0, 3), finished.stderr
    return float(json.loads((directory / "summary.json").read_text())["latency_ms"]["p50"])


def its_p50_ms(url: str, directory: Path) -> float:
    """What perf_analyzer finds."""
    table = directory / "perf.csv"
    finished = perf_analyzer.run(
        perf_analyzer.install(),
        *("-m", "pause", "-i", "grpc", "-u", url, "-a", "--request-rate-range", str(_RATE), "-f", str(table)),
        *("--request-distribution", "poisson", "--max-threads", "8", "-p", "3000", "-r", "3", "-s", "999"),
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    with table.open(newline="") as file:
        row = next(csv.DictReader(file))
    return float(row["p50 latency"]) / 1e3


def test_both_find_the_same_median(tmp_path: Path) -> None:
    """A model that takes a tenth of a second takes it for both clients."""
    write_pause(tmp_path / "models")
    with serving.started(tmp_path / "models") as server:
        ours, its = ours_p50_ms(server.grpc_address, tmp_path), its_p50_ms(server.grpc_address, tmp_path)

    assert ours >= 100
    assert ours == pytest.approx(its, rel=0.1)
