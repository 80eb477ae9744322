"""Triton's own load generator, from its wheel, as one more client of the servers under test."""

from __future__ import annotations

import ctypes.util
import os
import platform
import subprocess
from functools import partial
from pathlib import Path

import pytest

from deploy.triton.installing import installed, pip_install
from deploy.triton.wheel import DIRECTORY, installed_triton
from tests.serving import PATIENCE_SECONDS

_REQUIREMENTS = Path(__file__).with_name("perf-analyzer-requirements.txt")

NEEDED = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="perf_analyzer is there for x86-64 alone"),
    pytest.mark.skipif(
        not ctypes.util.find_library("b64") and not os.environ.get("CI"),
        reason="perf_analyzer needs the package libb64-0d",
    ),
]
"""Marks for modules that use it."""


def install() -> Path:
    """Where perf_analyzer and its libraries are, after installing them the first time."""
    installed_triton()  # makes the directory around it
    return installed(DIRECTORY / "perf_analyzer", _REQUIREMENTS, partial(pip_install, _REQUIREMENTS))


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it with `arguments`."""
    return subprocess.run(
        [directory / "bin/perf_analyzer", *arguments],
        env=os.environ | {"LD_LIBRARY_PATH": str(directory / "nvidia/cuda_runtime/lib")},
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_SECONDS,
    )
