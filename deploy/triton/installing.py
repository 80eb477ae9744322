"""What Triton needs from PyPI, installed the first time it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.triton.errors import LaunchError

if TYPE_CHECKING:
    from collections.abc import Callable


def installed(directory: Path, requirements: Path, build: Callable[[Path], None]) -> Path:
    """Return `directory`, after `build` has made it anew unless it holds what `requirements` pins.

    Raises:
        LaunchError: As `build` does.
    """
    pinned = directory / requirements.name
    if not pinned.exists() or pinned.read_text() != requirements.read_text():
        # Built beside its place and then renamed: whoever starts at the same time sees all of it or nothing.
        with tempfile.TemporaryDirectory(prefix=f"{directory.name}-", dir=directory.parent) as scratch:
            built = Path(scratch) / "built"
            build(built)
            shutil.copy(requirements, built)
            if directory.exists():
                os.replace(directory, Path(scratch) / "replaced")  # noqa: PTH105 - beside the next line
            os.replace(built, directory)  # noqa: PTH105 - Path.rename does not promise to be atomic
    return directory


def pip_install(requirements: Path, target: Path) -> None:
    """Install what `requirements` pins, and nothing that it requires, into the folder `target`.

    Raises:
        LaunchError: Some of it could not be installed.
    """
    print(f"installing {requirements.name}", file=sys.stderr, flush=True)  # noqa: T201 - a command's output
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command = [sys.executable, "-m", "pip", *install, "--target", str(target), "--requirement", str(requirements)]
    result = subprocess.run(command, check=False)  # noqa: S603 - our own arguments
    if result.returncode != 0:
        raise LaunchError(f"pip could not install {requirements}")
