"""The Python environment of the models that Triton runs in Python: this one, but with the numpy that the stub knows."""

from __future__ import annotations

import site
import sys
import sysconfig
import venv
from pathlib import Path

from deploy.triton.installing import installed, pip_install
from deploy.triton.wheel import DIRECTORY

REQUIREMENTS = Path(__file__).with_name("stub-requirements.txt")
_NEWEST_WITH_NUMPY_1 = (3, 12)
_PATHS = "beside.pth"


def installed_environment(directory: Path = DIRECTORY, requirements: Path = REQUIREMENTS) -> Path | None:
    """Return a virtual environment below `directory` that has what `requirements` pins; make it if it is not there.

    Behind that it sees whatever is installed for this Python. None where no numpy 1 exists for this Python: there,
    models in Python must do without BYTES and numpy, as our `pytorch` backend does.

    Raises:
        LaunchError: What it needs could not be installed.
    """
    if sys.version_info[:2] > _NEWEST_WITH_NUMPY_1:
        return None

    def build(environment: Path) -> None:
        venv.create(environment, symlinks=True)
        pip_install(requirements, _site_packages(environment))

    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    environment = installed(directory / name, requirements, build)
    # Written each time: the environment that it names may have moved since.
    lines = [f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages()]
    (_site_packages(environment) / _PATHS).write_text("".join(lines))
    return environment


def _site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
