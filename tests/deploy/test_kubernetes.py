from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from server.settings import Settings
from tests.deploy.dockerfile import ROOT, environment_of, read_stages, steps_of

DIRECTORY = ROOT / "deploy" / "kubernetes"
# The oldest and the newest release that the manifests are meant for.
RELEASES = ("1.31", kubernetes_validate.latest_version())
STAGES = read_stages()


def manifest(name: str) -> dict[str, Any]:
    """One file's object."""
    return dict(yaml.safe_load((DIRECTORY / f"{name}.yaml").read_text()))


def resources() -> list[str]:
    """The names of the files that the kustomization applies."""
    return [path.removesuffix(".yaml") for path in manifest("kustomization")["resources"]]


@pytest.fixture
def pod() -> dict[str, Any]:
    """The pod that the deployment makes."""
    return dict(manifest("deployment")["spec"]["template"]["spec"])


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Its one container."""
    [container] = pod["containers"]
    return dict(container)


def server_settings(container: dict[str, Any]) -> Settings:
    """What the server makes of the image's variables and the manifest's."""
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    unknown = {name for name in variables if name.removeprefix("COORDSERVE_").lower() not in Settings.__slots__}
    assert not unknown
    return Settings.from_command_line([], environment_of(STAGES, "server") | variables)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", resources())
def test_objects_are_what_kubernetes_takes(name: str, release: str) -> None:
    """Each object conforms to the schema of its kind, without a field that it does not have."""
    kubernetes_validate.validate(manifest(name), release, strict=True)


def test_every_file_is_applied_or_says_why_not() -> None:
    """The kustomization has all files but itself and the one that needs the Prometheus operator."""
    files = {path.stem for path in DIRECTORY.glob("*.yaml")}
    assert files == {*resources(), "kustomization", "podmonitor"}


def test_selectors_find_the_pods() -> None:
    """Deployment, service, disruption budget, spreading and monitor mean the labels that the pods have."""
    deployment, pod_monitor = manifest("deployment")["spec"], manifest("podmonitor")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"] == labels
    assert pod_monitor["selector"]["matchLabels"] == labels
    for constraint in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == labels


def test_ports_are_those_on_which_the_server_listens(container: dict[str, Any]) -> None:
    """Probes, service and monitor go by names, and the names mean the server's ports."""
    settings = server_settings(container)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": settings.grpc_port, "metrics": settings.metrics_port}
    assert {port["targetPort"]: port["port"] for port in manifest("service")["spec"]["ports"]} == ports
    [endpoint] = manifest("podmonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "metrics"
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert probes == [
        {"path": "/healthz", "port": "metrics"},
        {"path": "/readyz", "port": "metrics"},
        {"path": "/healthz", "port": "metrics"},
    ]


def test_a_pod_has_time_to_answer_what_it_accepted(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Kubernetes waits longer than the server's lame duck and grace together, even if it traces."""
    settings = server_settings(container)
    assert pod["terminationGracePeriodSeconds"] >= settings.lame_duck_seconds + settings.grace_seconds + 10


def test_the_server_listens_to_the_pods_address(container: dict[str, Any]) -> None:
    """An address that only the pod itself can reach would fail every probe."""
    assert server_settings(container).host == "0.0.0.0"  # noqa: S104


def test_a_pod_has_no_rights(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """What the `restricted` pod security standard asks for, and a file system that cannot be written to."""
    image_user = [value for name, value in steps_of(STAGES, "server") if name == "USER"][-1]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == image_user
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_cores_are_whole_and_the_pods_own(container: dict[str, Any]) -> None:
    """Requests equal limits, and the limit is a number of cores that the server can make instances of."""
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert int(container["resources"]["limits"]["cpu"]) >= 1


def test_the_image_is_replaced_by_one_name(container: dict[str, Any]) -> None:
    """The kustomization's image is the deployment's, tag included."""
    [image] = manifest("kustomization")["images"]
    assert container["image"] == f"{image['name']}:{image['newTag']}"


def test_scraped_pods_have_the_labels_of_the_dashboard() -> None:
    """The monitor gives what the rules and the dashboard ask for: the job, and which server it is."""
    [endpoint] = manifest("podmonitor")["spec"]["podMetricsEndpoints"]
    labels = {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
    assert labels == {"job": "coordserve", "server": "python"}
