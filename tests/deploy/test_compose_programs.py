"""What docker-compose.yml tells programs to do, tried with the programs that run here without Docker."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from prometheus_client.parser import text_string_to_metric_families

from loadtest.calibration import null_server
from tests import serving
from tests.deploy.compose import image_values, services
from tests.deploy.dockerfile import ROOT, command_of
from tests.prometheus import DIRECTORY as PROMETHEUS
from tests.prometheus import free_address, program

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = services()


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
    with serving.started(tmp_path, *flags, command=serving.TRITON, loaded=False) as triton:
        triton.wait_loaded(serving.TRITON_START_SECONDS)
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
    assert {host for host, _ in targets()} == {"server", "triton", "locust-master"}
    for host, port in targets():
        assert set(SERVICES[host]["networks"]) & set(SERVICES["prometheus"]["networks"])
        assert port in image_values(SERVICES[host], "EXPOSE")[-1].split()


def locust(service: str, places: dict[str, str], *options: str) -> contextlib.closing[serving.ServerProcess]:
    """Locust as a service starts it, with this machine's addresses in place of those in containers."""
    [entrypoint] = image_values(SERVICES[service], "ENTRYPOINT")
    words = SERVICES[service]["command"]
    assert places.keys() <= set(words)
    command = [*command_of(entrypoint), *(places.get(word, word) for word in words), *options]
    return contextlib.closing(serving.ServerProcess([sys.executable, "-m", *command]))


def is_healthy(service: str, places: dict[str, str]) -> bool:
    """What the health check of a service says, which is a command of Python, with other addresses in it."""
    test, python, *words = SERVICES[service]["healthcheck"]["test"]
    assert (test, python) == ("CMD", "python")
    for inside, outside in places.items():
        words = [word.replace(inside, outside) for word in words]
    return subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode == 0


def test_locust_sends_load_from_its_workers() -> None:
    """Master and worker find each other; load that is started on the page is sent and told to Prometheus; both stop."""
    page, bus, metrics = free_address(), free_address(), free_address()
    page_port, bus_port, metrics_port = (address.rpartition(":")[2] for address in (page, bus, metrics))
    with (
        null_server() as target,
        locust(
            "locust-master",
            {"server:8001": target, "9103": metrics_port},
            *("--web-port", page_port, "--master-bind-port", bus_port),
        ) as master,
        locust("locust-worker", {"locust-master": "localhost"}, "--master-port", bus_port) as worker,
    ):
        master.wait_for("1 workers connected")
        assert is_healthy("locust-master", {"127.0.0.1:8089": page})
        form = urlencode({"user_count": 20, "spawn_rate": 20}).encode()
        with urlopen(f"http://{page}/swarm", form, timeout=serving.PATIENCE_SECONDS) as answer:
            assert json.load(answer)["success"]
        end = time.monotonic() + serving.PATIENCE_SECONDS
        while sent_requests(metrics) == 0:
            assert time.monotonic() < end, master.log + worker.log
            time.sleep(0.1)
        master.send_signal(signal.SIGTERM)
        assert worker.wait_exit() == 0, worker.log
        master.wait_exit()
        assert not is_healthy("locust-master", {"127.0.0.1:8089": page})


def sent_requests(address: str) -> float:
    """How many requests a load generator has told of so far."""
    with urlopen(f"http://{address}/metrics", timeout=serving.PATIENCE_SECONDS) as page:
        samples = text_string_to_metric_families(page.read().decode())
    return sum(sample.value for family in samples for sample in family.samples if family.name == "loadgen_requests")
