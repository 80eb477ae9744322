"""What docker-compose.yml mounts for Prometheus and Grafana is there, and is what their configurations mean."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.deploy.compose import services
from tests.deploy.dockerfile import ROOT

SERVICES = services()
GRAFANA = SERVICES["grafana"]
MOUNTS = [
    (source, target)
    for service in SERVICES.values()
    for source, target, *_ in (volume.split(":") for volume in service.get("volumes", []))
    if source.startswith(".")
]


def provisioned(kind: str) -> list[dict[str, Any]]:
    """The entries of all provisioning files of a kind."""
    [directory] = [ROOT / source for source, target in MOUNTS if target == "/etc/grafana/provisioning"]
    files = sorted((directory / kind).glob("*.y*ml"))
    key = {"dashboards": "providers"}.get(kind, kind)
    return [entry for file in files for entry in yaml.safe_load(file.read_text())[key]]


def on_this_machine(path: str) -> Path:
    """The file of this repository that a container has at `path`."""
    for source, target in MOUNTS:
        if PurePosixPath(path).is_relative_to(target):
            return ROOT / source / PurePosixPath(path).relative_to(target)
    pytest.fail(f"nothing is mounted at {path}")


@pytest.mark.parametrize(("source", "target"), MOUNTS)
def test_what_is_mounted_is_there(source: str, target: str) -> None:
    """Docker would make an empty directory, owned by root, of a path that is missing."""
    assert any((ROOT / source).iterdir()), target


def test_grafana_finds_its_dashboards() -> None:
    """The folder that it watches is mounted and has dashboards; the first page is one of them."""
    home = on_this_machine(GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert json.loads(home.read_text())["title"]
    [provider] = provisioned("dashboards")
    assert home.parent == on_this_machine(provider["options"]["path"])


def test_grafana_asks_the_prometheus_beside_it() -> None:
    """The data source's address is the service, on a network of both, at the port that it publishes."""
    [source] = provisioned("datasources")
    prometheus = SERVICES["prometheus"]
    assert source["url"] == "http://prometheus:" + prometheus["ports"][0].split(":")[2]
    assert set(GRAFANA["networks"]) & set(prometheus["networks"])
