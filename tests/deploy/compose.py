"""docker-compose.yml as Compose reads it where no variable is set."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.deploy.dockerfile import ROOT, read_stages, steps_of

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")

Service = dict[str, Any]


def variables() -> dict[str, set[str]]:
    """The variables that the file takes from the environment or .env, with their defaults."""
    found: dict[str, set[str]] = {}
    for name, default in _VARIABLE.findall(TEXT):
        found.setdefault(name, set()).add(default)
    return found


def project() -> dict[str, Any]:
    """The whole file; every variable has its default."""
    text = _VARIABLE.sub(lambda match: match[2], TEXT)
    assert "${" not in text, "a variable without a default"
    return dict(yaml.safe_load(text))


def services() -> dict[str, Service]:
    """The services by their names."""
    return dict(project()["services"])


def image_values(service: Service, instruction: str) -> list[str]:
    """What follows each instruction of this kind in the Dockerfile of a service; none where others made its image."""
    if "build" not in service:
        return []
    build = service["build"]
    steps = steps_of(read_stages(ROOT / build["context"] / build["dockerfile"]), build["target"])
    return [value for name, value in steps if name == instruction]


def seconds(duration: str) -> float:
    """A duration such as 45s."""
    match = re.fullmatch(r"(\d+)s", duration)
    assert match, duration
    return float(match[1])
