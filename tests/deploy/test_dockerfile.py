from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from client import Classifier
from server.settings import Settings
from tests.deploy.dockerfile import (
    ROOT,
    Rehearsal,
    command_of,
    context_files,
    environment_of,
    read_stages,
    rehearsed,
    steps_of,
)
from tests.serving import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

STAGES = read_stages()
IMAGES = ("server", "loadtest")

# Says of every module of ours that serving imports where it came from.
_WHERE_FROM = """
import sys, server.app, server.check.command
for name, module in sorted(sys.modules.items()):
    if name.split(".")[0] in ("client", "imaging", "loadtest", "modeling", "proto", "server"):
        print(name, module.__spec__.origin or list(module.__path__)[0])
"""


def last(stage: str, instruction: str) -> str:
    """The instruction of this kind that holds in the end."""
    return [value for name, value in steps_of(STAGES, stage) if name == instruction][-1]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """The Dockerfile's steps, in clean directories."""
    return Rehearsal(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def root(rehearsal: Rehearsal) -> Path:
    """The files of the server's image."""
    return rehearsal.build("server")


def test_everything_that_is_copied_is_there() -> None:
    """What COPY names is in the build context, or in the stage that it is taken from."""
    files = context_files()
    for stage in STAGES.values():
        for copy in stage.copies():
            assert not copy.source_stage or copy.source_stage in STAGES
            for source in copy.sources if not copy.source_stage else []:
                assert source == "." or any(path.is_relative_to(source) for path in files), source


def test_the_context_has_sources_alone() -> None:
    """No history, environment, result or exported model of this machine goes into an image."""
    files = context_files()
    assert {path.parts[0] for path in files} == {
        "README.md",
        "client",
        "constraints.txt",
        "deploy",
        "imaging",
        "loadtest",
        "modeling",
        "proto",
        "pyproject.toml",
        "server",
    }
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {path for path in tracked.stdout.split("\n") if path.startswith(("server/", "proto/", "imaging/"))}
    assert wanted <= {path.as_posix() for path in files}
    assert not [path for path in files if "__pycache__" in path.parts]


def test_patterns_mean_what_they_mean_to_docker(tmp_path: Path) -> None:
    """The last pattern that fits a file or one of its folders decides; a star stays within one folder."""
    (tmp_path / ".dockerignore").write_text("# none\n*\n!a\n**/cache\na/*/[0-9]*/big\n!b/c.txt\n")
    for name in ("a/x", "a/cache/y", "a/m/1/big", "a/m/v1/big", "a/m/2/n/big", "b/c.txt", "b/d.txt", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.as_posix() for path in context_files(tmp_path)] == ["a/m/2/n/big", "a/m/v1/big", "a/x", "b/c.txt"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_an_account_of_its_own(image: str) -> None:
    """The account has a fixed number, which Kubernetes can tell from root's, and a signal that the process knows."""
    user = last(image, "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert all(number in str(STAGES["runtime"].values("RUN")) for number in user.split(":"))
    assert last(image, "STOPSIGNAL") == "SIGTERM"
    assert command_of(last(image, "ENTRYPOINT"))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is(image: str) -> None:
    """Title, description and the project's version are labels that registries show."""
    label = last(image, "LABEL")
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f'org.opencontainers.image.version="{version[1]}"' in label
    assert "org.opencontainers.image.title=" in label
    assert "org.opencontainers.image.description=" in label


def test_bases_are_pinned() -> None:
    """Every image starts from one tag with a patch version."""
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", dockerfile_text(), re.MULTILINE)
    assert {stage.base for stage in STAGES.values()} - STAGES.keys() == {"${PYTHON_IMAGE}"}


def dockerfile_text() -> str:
    """The file itself."""
    return (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")


def test_all_that_is_installed_is_pinned() -> None:
    """No package gets into an image without the versions of constraints.txt, but for the project itself."""
    installs = [
        command
        for stage in STAGES.values()
        for line in stage.values("RUN")
        for command in line.split("&&")
        if "pip" in command.split() and "install" in command
    ]
    assert len(installs) >= 5
    for command in installs:
        assert "--constraint constraints.txt" in command or "--no-deps --target /app ." in command, command


def test_an_image_has_no_room_that_it_does_not_need(rehearsal: Rehearsal) -> None:
    """The server's image has no training and no load test, the load test's no server; neither has weights."""
    server, loadtest = ({path.name for path in (rehearsal.build(name) / "app").iterdir()} for name in IMAGES)
    assert {name for name in server if "." not in name} == {"client", "imaging", "model_repository", "proto", "server"}
    assert {name for name in loadtest if "." not in name} == {"client", "imaging", "loadtest", "proto"}
    assert not list(rehearsal.build("server").rglob("*.safetensors"))


def test_an_image_lacks_no_file_of_its_rooms(root: Path) -> None:
    """What the project's packages are made of is installed, pages and definitions included."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    wanted = [path for path in tracked if path.startswith(("client/", "imaging/", "proto/", "server/"))]
    assert [path for path in wanted if (ROOT / path).exists() and not (root / "app" / path).exists()] == []


def test_the_models_are_exported_and_checked_on_the_way(rehearsal: Rehearsal, root: Path) -> None:
    """The image has every model that the repository has, exported from its weights and found good."""
    assert [command for command in rehearsal.ran if "-m modeling.export" in command]
    assert [command for command in rehearsal.ran if "-m server check" in command]
    models = root / "app" / "model_repository"
    assert (models / "ca_mobilenetv2" / "1" / "model.pt").stat().st_size > 1 << 20
    tracked = subprocess.run(
        ["git", "ls-files", "model_repository"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [path for path in tracked.stdout.split() if not (root / "app" / path).is_file()] == []


def test_other_weights_make_an_image_of_their_model_alone(tmp_path: Path) -> None:
    """The check finds nothing wrong, for there is no model without its file: not the default one, nor any of ours."""
    models = Rehearsal(tmp_path, weights="fresh").build("models") / "build" / "model_repository"
    assert [path.relative_to(models).parts[1:] for path in models.rglob("model.*")] == [("1", "model.pt")]
    assert len(list(models.iterdir())) == 1


def test_serving_needs_nothing_but_the_image(root: Path) -> None:
    """Every module of ours that serving imports comes from the image's own files."""
    result = subprocess.run(
        [sys.executable, "-c", _WHERE_FROM], cwd=root / "app", capture_output=True, text=True, check=True
    )
    modules = dict(line.split() for line in result.stdout.splitlines())
    assert "server.app" in modules
    assert {name: path for name, path in modules.items() if not path.startswith(str(root / "app"))} == {}


def test_the_image_serves_tells_its_health_and_stops(root: Path, tmp_path: Path) -> None:
    """Started as the image starts it, the server becomes healthy, classifies an image, and goes when told to."""
    settings = {name: rehearsed(value, root) for name, value in environment_of(STAGES, "server").items()}
    settings = {name: value for name, value in settings.items() if name.startswith("COORDSERVE_")}
    assert Settings.from_command_line([], settings).host == "0.0.0.0"  # noqa: S104 - the world of a container
    here = {"HOST": "127.0.0.1", "GRPC_PORT": "0", "METRICS_PORT": "0", "LAME_DUCK_SECONDS": "0"}
    entrypoint = [rehearsed(word, root) for word in command_of(last("server", "ENTRYPOINT"))]
    command = ["env", f"--chdir={root / 'app'}", *entrypoint]
    server = ServerProcess(command, settings | {f"COORDSERVE_{name}": value for name, value in here.items()})
    try:
        server.wait_loaded()
        assert health(server) == 0
        Image.effect_noise((80, 70), 90).convert("RGB").save(tmp_path / "noise.png")
        with Classifier(server.grpc_address) as classifier:
            best = classifier.classify(tmp_path / "noise.png").best
        labels = (ROOT / "model_repository" / "ca_mobilenetv2" / "labels.txt").read_text().splitlines()
        assert best.label in labels
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert health(server) != 0
    finally:
        server.close()


def health(server: ServerProcess) -> int:
    """What the image's HEALTHCHECK says of this server, which has another port than in a container."""
    words = command_of(last("server", "HEALTHCHECK").partition("CMD")[2])
    assert "//127.0.0.1:8002/" in words[-1]
    words[-1] = words[-1].replace("127.0.0.1:8002", server.http_address)
    python = [sys.executable, *words[1:]]
    assert words[0] == "python"
    return subprocess.run(python, capture_output=True, check=False, env=dict(os.environ)).returncode


def test_ports_are_those_of_the_settings() -> None:
    """The image announces the ports on which the server listens by default."""
    settings = Settings.from_command_line([], {})
    assert last("server", "EXPOSE").split() == [str(settings.grpc_port), str(settings.metrics_port)]
