from __future__ import annotations

import argparse
import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from loadtest import locust_arguments
from server.settings import Settings
from tests.deploy.compose import image_values, project, seconds, services, variables
from tests.deploy.dockerfile import ROOT, TRITON_DOCKERFILE, environment_of, read_stages

STAGES = read_stages()
SERVICES = services()
# They do their work and end, or have no port on which they could be asked.
WITHOUT_HEALTH = {"models", "locust-worker"}


def each_service() -> Any:
    """Once for each service."""
    return pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_file_conforms_to_the_compose_specification() -> None:
    """A strict parser of the specification takes it; it knows no image with both a tag and a digest."""
    text = re.sub(r"(image: \S+)@sha256:[0-9a-f]{64}", r"\1", yaml.safe_dump(project()))
    assert set(PyCompose.from_yaml(text).service_names()) == SERVICES.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        "services: {server: {image: x, red_only: true}}",
        "services: {server: {image: x, restart: sometimes}}",
        "services: {server: {image: x, depends_on: {models: {condition: service_ok}}}}",
    ],
)
def test_the_parser_refuses_what_compose_would(wrong: str) -> None:
    """So that conforming means something."""
    with pytest.raises(ValueError, match=r"services\.server"):
        PyCompose.from_yaml(wrong)


def test_variables_and_their_defaults_are_in_the_example() -> None:
    """.env.example has each variable with its default, and no other."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name: {value} for name, value in example.items()} == variables()


def test_one_command_starts_the_server_and_what_watches_it() -> None:
    """Triton and Locust are there for those who ask for their profile."""
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert profiles == {
        "models": [],
        "server": [],
        "prometheus": [],
        "grafana": [],
        "triton": ["triton"],
        "locust-master": ["loadtest"],
        "locust-worker": ["loadtest"],
    }


@each_service()
def test_a_service_can_do_no_harm(service: dict[str, Any]) -> None:
    """No root, no capability, no way to gain one, no writing to the image, no end of cores, memory, processes, logs."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "devices"}
    user = service.get("user") or image_values(service, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:\d+", user)


@each_service()
def test_images_are_pinned(service: dict[str, Any]) -> None:
    """Every image is our own of this version, or a release of somebody else's."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    if "build" in service:
        assert re.fullmatch(rf"coordserve(-loadtest|-triton)?:{re.escape(version[1])}", service["image"])
        assert service["pull_policy"] == "build", "nobody's registry is asked for a name of ours"
    else:
        assert re.fullmatch(r"\S+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", service["image"])


@each_service()
def test_ports_are_open_to_this_machine_alone(service: dict[str, Any]) -> None:
    """Whoever wants more says so by BIND_ADDRESS; no two services take the same port."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_no_two_services_take_the_same_port() -> None:
    """All profiles can run at the same time."""
    taken = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("name", SERVICES)
def test_health_is_known_of_all_that_stay(name: str) -> None:
    """A service has a check of its own or its image's, or says that it has none."""
    service = SERVICES[name]
    check = service["healthcheck"]
    if name in WITHOUT_HEALTH:
        assert check == {"disable": True}
    else:
        assert check.get("test") or image_values(service, "HEALTHCHECK")
        assert seconds(check["timeout"]) < seconds(check["interval"])


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_can_come_about(name: str) -> None:
    """What must be healthy has a health check, what must complete ends, and what is required is started with it."""
    for other, dependency in SERVICES[name].get("depends_on", {}).items():
        is_started = set(SERVICES[other].get("profiles", [])) <= set(SERVICES[name].get("profiles", []))
        assert dependency.get("required", True) == is_started
        if dependency["condition"] == "service_healthy":
            assert other not in WITHOUT_HEALTH
        else:
            assert dependency["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


def test_volumes_and_networks_are_declared() -> None:
    """Each is used and each that is used is there."""
    volumes = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    networks = {network for service in SERVICES.values() for network in service.get("networks", [])}
    assert {volume for volume in volumes if not volume.startswith(".")} == project()["volumes"].keys()
    assert networks == project()["networks"].keys()


def test_the_server_understands_its_environment() -> None:
    """Each variable is a setting, and together they make one that listens, on the ports that are published."""
    service = SERVICES["server"]
    own = {name: str(value) for name, value in service["environment"].items()}
    assert {name.removeprefix("COORDSERVE_").lower() for name in own} <= set(Settings.__slots__)
    settings = Settings.from_command_line(service.get("command", []), environment_of(STAGES, "server") | own)
    assert settings.host == "0.0.0.0"  # noqa: S104
    assert str(settings.model_repository) == "/models"
    assert {port.split(":")[2] for port in service["ports"]} == {str(settings.grpc_port), str(settings.metrics_port)}
    assert seconds(service["stop_grace_period"]) >= settings.lame_duck_seconds + settings.grace_seconds + 10


@pytest.mark.parametrize(
    "file", [".env.example", "docker-compose.yml", "docs/operations.md", "deploy/kubernetes/deployment.yaml"]
)
def test_whoever_changes_the_grace_is_told_what_must_be_left_of_it(file: str) -> None:
    """Where lame duck and grace are set, it is said how much longer the server may take."""
    assert "at least 5 s (10 s with tracing)" in (ROOT / file).read_text(encoding="utf-8")


def test_both_servers_read_the_volume_that_one_service_fills() -> None:
    """The models of the image are copied into it; who serves them cannot write to it."""
    models = SERVICES["models"]
    *_, source, target = models["entrypoint"]
    copied = [copy.target for copy in STAGES["server"].copies() if copy.source_stage == "models"]
    assert copied == [source.removesuffix("/.")]
    assert models["volumes"] == [f"models:{target}"]
    for name in ("server", "triton"):
        assert SERVICES[name]["volumes"] == [f"models:{target}:ro"]
        assert SERVICES[name]["depends_on"]["models"] == {"condition": "service_completed_successfully"}


def test_triton_is_a_pinned_release_of_nvidia() -> None:
    """The image that ours is built from is the same in both files, of a release that has the PyTorch backend."""
    built_from = SERVICES["triton"]["build"]["args"]["TRITON_IMAGE"]
    assert re.fullmatch(r"nvcr\.io/nvidia/tritonserver:\d\d\.\d\d-py3", built_from)
    assert f"ARG TRITON_IMAGE={built_from}\n" in TRITON_DOCKERFILE.read_text(encoding="utf-8")


def test_many_may_be_connected() -> None:
    """Both servers may have more connections than Docker's lowest limit of open files would let them have."""
    assert all(SERVICES[name]["ulimits"]["nofile"] >= 1 << 16 for name in ("server", "triton"))


def test_accepted_requests_are_answered_when_all_is_stopped() -> None:
    """Triton and Locust have more time than they take for what is under way."""
    triton = SERVICES["triton"]
    [exit_seconds] = [flag.partition("=")[2] for flag in triton["command"] if flag.startswith("--exit-timeout-secs=")]
    assert seconds(triton["stop_grace_period"]) > float(exit_seconds)
    parser = argparse.ArgumentParser()
    locust_arguments.add_arguments(parser)
    for name in ("locust-master", "locust-worker"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > parser.get_default("deadline")
