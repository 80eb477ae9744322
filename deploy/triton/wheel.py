"""The wheel that carries tritonserver, unpacked into `.triton` the first time it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.triton.errors import LaunchError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DIRECTORY = Path(__file__).parents[2] / ".triton"


def installed_triton(directory: Path = DIRECTORY, requirements: Path = REQUIREMENTS) -> Path:
    """Return the folder of tritonserver, its backends and stubs; install what `requirements` pins if it is not there.

    The wheel's layout stays as it is: the binary finds its libraries relative to itself.

    Raises:
        LaunchError: The wheel could not be installed.
    """
    pinned = directory / requirements.name
    if not pinned.exists() or pinned.read_text() != requirements.read_text():
        print(f"installing tritonserver into {directory}", file=sys.stderr, flush=True)  # noqa: T201 - a command's output
        _install(directory, requirements)
    return directory / "pytriton" / "tritonserver"


def _install(directory: Path, requirements: Path) -> None:
    # Built beside its place and then renamed: whoever starts at the same time sees all of it or nothing.
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}-", dir=directory.parent) as scratch:
        built = Path(scratch) / "built"
        install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        command = [sys.executable, "-m", "pip", *install, "--target", str(built), "--requirement", str(requirements)]
        result = subprocess.run(command, check=False)  # noqa: S603 - our own arguments
        if result.returncode != 0:
            raise LaunchError(f"pip could not install {requirements}")
        shutil.copy(requirements, built)
        if directory.exists():
            os.replace(directory, Path(scratch) / "replaced")  # noqa: PTH105 - beside the next line
        os.replace(built, directory)  # noqa: PTH105 - Path.rename does not promise to be atomic
