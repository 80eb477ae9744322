"""What the Makefile would do in a checkout that nothing was made in yet, as make itself says."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy.dockerfile import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("target", ["serve", "demo", "bench", "compare-triton", "triton"])
def test_what_serves_the_default_model_makes_it_first(target: str, tmp_path: Path) -> None:
    """The environment is set up, the model exported from its weights, and only then is it served."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    run = subprocess.run(["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=True)

    install, export, *serve = (line for line in run.stdout.splitlines() if "/bin/python -m" in line)
    assert "-m pip install" in install
    assert "-m modeling.export" in export
    assert serve
