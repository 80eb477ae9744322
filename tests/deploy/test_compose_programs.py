"""What docker-compose.yml tells programs to do, tried with the programs that run here without Docker."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import serving
from tests.deploy.compose import services
from tests.deploy.dockerfile import ROOT, command_of, read_stages
from tests.prometheus import DIRECTORY as PROMETHEUS
from tests.prometheus import free_address, program

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = services()
TRITON = (sys.executable, "-m", "deploy.triton")
# The first start unpacks its wheel.
TRITON_START_SECONDS = 300.0


def mounted(service: str, directory: Path) -> str:
    """Where a service has this directory of the repository."""
    mounts = dict(volume.split(":")[:2] for volume in SERVICES[service]["volumes"])
    return str(mounts[f"./{directory.relative_to(ROOT)}"])


def test_a_new_image_brings_its_models_into_the_volume(tmp_path: Path) -> None:
    """What the image has takes the place of what the volume has; others stay, and open files keep their content."""
    image, volume = tmp_path / "image", tmp_path / "volume"
    for directory, name, content in ((image, "ours", "new"), (volume, "ours", "old"), (volume, "theirs", "kept")):
        (directory / name / "1").mkdir(parents=True)
        (directory / name / "1" / "model.pt").write_text(content)
    copy, *options, _, _ = SERVICES["models"]["entrypoint"]
    with (volume / "ours" / "1" / "model.pt").open() as reader:
        for _ in range(2):
            subprocess.run([copy, *options, f"{image}/.", str(volume)], check=True)
        assert reader.read() == "old"
    assert (volume / "ours" / "1" / "model.pt").read_text() == "new"
    assert (volume / "theirs" / "1" / "model.pt").read_text() == "kept"


def test_triton_takes_its_flags(tmp_path: Path) -> None:
    """The real tritonserver starts with them, and stops within the time that it is given."""
    name, models, *flags = SERVICES["triton"]["command"]
    assert (name, models) == ("tritonserver", "--model-repository=/models")
    with serving.started(tmp_path, *flags, command=TRITON, loaded=False) as triton:
        triton.wait_for("Started Metrics Service", TRITON_START_SECONDS)
        triton.send_signal(signal.SIGTERM)
        assert triton.wait_exit() == 0, triton.log


def test_prometheus_takes_its_flags_and_configuration(tmp_path: Path) -> None:
    """The real Prometheus is ready with the command of the service, on the directories that are mounted."""
    places = {mounted("prometheus", PROMETHEUS): str(PROMETHEUS), "=/prometheus": f"={tmp_path}"}
    flags = []
    for flag in SERVICES["prometheus"]["command"]:
        for inside, outside in places.items():
            flag = flag.replace(inside, outside)  # noqa: PLW2901 - each place in turn
        flags.append(flag)
    command = [program("prometheus"), *flags, f"--web.listen-address={free_address()}"]
    prometheus = serving.ServerProcess(command)
    try:
        prometheus.wait_for("Server is ready to receive web requests")
        prometheus.send_signal(signal.SIGTERM)
        assert prometheus.wait_exit() == 0, prometheus.log
    finally:
        prometheus.close()


def targets() -> list[tuple[str, str]]:
    """Whom Prometheus scrapes in another container: names and ports."""
    scrapes = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    files = [path for scrape in scrapes for found in scrape.get("file_sd_configs", []) for path in found["files"]]
    groups: list[dict[str, Any]] = [
        group for path in files for group in yaml.safe_load((PROMETHEUS / path).read_text())
    ]
    return [
        (host, port) for group in groups for host, _, port in (target.partition(":") for target in group["targets"])
    ]


def test_prometheus_scrapes_services_that_it_can_reach() -> None:
    """Each target is a service on a network of Prometheus, at a port on which it listens."""
    stages = read_stages()
    own = {"triton": {"8000", "8001", "8002"}}
    assert {host for host, _ in targets()} == {"server", "triton", "locust-master"}
    for host, port in targets():
        assert set(SERVICES[host]["networks"]) & set(SERVICES["prometheus"]["networks"])
        build = SERVICES[host].get("build")
        assert port in (stages[build["target"]].values("EXPOSE")[-1].split() if build else own[host])


@pytest.mark.skipif(not (ROOT / "loadtest" / "locustfile.py").exists(), reason="loadtest/locustfile.py is yet to come")
@pytest.mark.parametrize("service", ["locust-master", "locust-worker"])
def test_locust_takes_its_flags(service: str) -> None:
    """The real Locust reads the locust file and the service's command, and has somebody to send requests."""
    entrypoint = command_of(read_stages()["loadtest"].values("ENTRYPOINT")[-1])
    command = [*entrypoint, *SERVICES[service]["command"], "--list"]
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Available Users" in result.stdout + result.stderr
