"""`python requirements.py EXTRA...`: prints what the project and these extras require, a line each.

Installed before the sources are copied, dependencies keep their layer of the image when only the sources change.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """Returns the requirements of the project and of `extras`.

    Raises:
        KeyError: pyproject.toml has no such extra.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return sorted({*project["dependencies"], *(line for extra in extras for line in optional[extra])})


if __name__ == "__main__":
    print(*requirements(Path("pyproject.toml"), sys.argv[1:]), sep="\n")  # noqa: T201 - a command's output
