from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.triton.stub_environment import installed_environment
from deploy.triton.wheel import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

WHAT_IT_SEES = "import imaging, numpy, simplejpeg, torch; print(numpy.__version__, torch.from_dlpack(numpy.arange(2)))"


def test_models_in_python_see_numpy_1_and_all_else_that_is_installed(tmp_path: Path) -> None:
    """In the stub's environment numpy is the one that the stub knows; torch and this project are those of this one."""
    DIRECTORY.mkdir(exist_ok=True)
    environment = installed_environment()
    if environment is None:
        pytest.skip("numpy 1 exists up to Python 3.12")
    command = [environment / "bin" / "python3", "-W", "error", "-c", WHAT_IT_SEES]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout == "1.26.4 tensor([0, 1])\n"
    assert np.__version__ != "1.26.4"
    assert installed_environment() == environment


def test_a_python_without_numpy_1_has_no_such_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed for a Python for which there is no numpy 1."""
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    assert installed_environment(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
