"""What a measurement was made with and on: a number without it cannot be compared with anything."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from loadtest.target import Target

_PACKAGES = ("coordserve", "grpcio", "numpy", "torch", "tritonclient")
_NO_ARGUMENTS = ("execute",)  # functions that argparse carries along


def environment(target: Target | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """What summary.json says of the target, if it is known, the machine, the programs and the arguments."""
    return {
        **({"target": _target(target)} if target else {}),
        "environment": {
            "host": platform.node(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "packages": {name: version for name in _PACKAGES if (version := _version(name))},
            "commit": _commit(),
            "command": _command(),
        },
        "arguments": {name: _plain(value) for name, value in vars(arguments).items() if name not in _NO_ARGUMENTS},
        "written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "url": target.url,
        "api": target.api,
        "server": target.server,
        "server_version": target.server_version,
        "model": ", ".join(model.model for model in target.models),
        "model_version": target.model_version,
        "payload": target.payload,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of this program's sources, if they are a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - constant
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _command() -> str:
    """This process's own, to be run again."""
    program, *arguments = sys.orig_argv
    if "-m" in arguments[:1]:
        return shlex.join(["python", *arguments])
    return shlex.join([Path((arguments or [program])[0]).name, *arguments[1:]])


def _plain(value: Any) -> Any:
    if isinstance(value, (frozenset, set, tuple)):
        return sorted(value)
    return str(value) if isinstance(value, Path) else value
