"""The wheel that carries tritonserver, unpacked into `.triton` the first time it is needed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deploy.triton.installing import installed, pip_install

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DIRECTORY = Path(__file__).parents[2] / ".triton"


def installed_triton(directory: Path = DIRECTORY, requirements: Path = REQUIREMENTS) -> Path:
    """Return the folder of tritonserver, its backends and stubs; install what `requirements` pins if it is not there.

    The wheel's layout stays as it is: the binary finds its libraries relative to itself.

    Raises:
        LaunchError: The wheel could not be installed.
    """
    return installed(directory, requirements, partial(pip_install, requirements)) / "pytriton" / "tritonserver"
