"""The real Prometheus and its promtool, and the configuration that is deployed."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

DIRECTORY = Path(__file__).parents[1] / "deploy" / "prometheus"
RULE_FILES = sorted((DIRECTORY / "rules").glob("*.yml"))


def program(name: str) -> str:
    """The path of a program that may be missing here, but not where everything must be tested."""
    path = shutil.which(name)
    if not path and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed; Debian's package prometheus has it")
    assert path, f"{name} is not installed"
    return path


def free_address() -> str:
    """An address of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def read_yaml(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """All rules of all files, those that record and those that alert."""
    return [rule for path in RULE_FILES for group in read_yaml(path)["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The rules that alert, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
