"""The image that Triton runs in: its Dockerfile's own steps give Triton's interpreter what decode_image needs."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]  # ships no py.typed marker
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

from deploy.triton.launch import Endpoints, link_backends, stub_environment
from deploy.triton.stub_environment import installed_environment
from deploy.triton.wheel import installed_triton
from imaging import decode_crop
from tests.deploy.dockerfile import ROOT, TRITON_DOCKERFILE, command_of, context_files, read_stages
from tests.prometheus import free_address
from tests.serving import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STAGE = read_stages(TRITON_DOCKERFILE)["triton"]
# The first start unpacks Triton's wheel.
START_SECONDS = 300.0


def site_packages(environment: Path) -> Path:
    """Where a virtual environment has its packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))


def installs() -> list[str]:
    """The names that the Dockerfile gives to pip."""
    [install] = [line for line in STAGE.values("RUN") if "pip install" in line]
    assert "--no-deps" in install
    assert "--constraint /opt/coordserve/constraints.txt" in install
    return [word for word in install.split("constraints.txt")[1].split() if not word.startswith("-")]


def copy_distribution(name: str, target: Path) -> None:
    """Put an installed distribution's files into another environment, as pip would."""
    for file in metadata.files(name) or []:
        if ".." not in file.parts:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target / file)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has what NVIDIA's image has, numpy, and what the Dockerfile's steps add, and nothing else."""
    root = tmp_path_factory.mktemp("image")
    python = root / "python"
    venv.create(python, symlinks=True)
    base = installed_environment()
    assert base
    for package in site_packages(base).glob("numpy*"):
        (site_packages(python) / package.name).symlink_to(package)
    for name in installs():
        copy_distribution(name, site_packages(python))
    for copy in STAGE.copies():
        for file in (path for path in context_files() if path.is_relative_to(copy.sources[0])):
            place = root / copy.target.lstrip("/")
            place = place / file.relative_to(copy.sources[0]) if (ROOT / copy.sources[0]).is_dir() else place / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, place)
    for line in STAGE.values("RUN"):
        if "pip install" not in line:
            here = line.replace("/opt/", f"{root}/opt/")
            path = {"PATH": f"{python / 'bin'}:/usr/bin:/bin"}
            subprocess.run(["/bin/sh", "-c", here], env=path, cwd=root, check=True, capture_output=True)
    return python


@pytest.fixture(scope="module")
def triton(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """Where the real tritonserver, with that interpreter, serves decode_image."""
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "model_repository" / "decode_image", models / "decode_image")
    folder = installed_triton()
    link_backends(folder)
    endpoints = Endpoints("127.0.0.1", 0, 0, 0).resolved()
    # Not from this directory, where Python would find this project's own packages.
    command = ["env", f"--chdir={models}", str(folder / "bin" / "tritonserver"), f"--model-repository={models}"]
    backends = f"--backend-directory={folder / 'backends'}"
    process = ServerProcess([*command, backends, *endpoints.flags()], stub_environment(environment))
    with contextlib.closing(process):
        process.wait_for("Started Metrics Service", START_SECONDS)
        yield endpoints


def ask(server: Endpoints, file: bytes) -> NDArray[np.uint8]:
    """The pixels that decode_image makes of a file."""
    image = InferInput("IMAGE", [1, 1], "BYTES")
    image.set_data_from_numpy(np.array([[file]], dtype=object))
    with InferenceServerClient(f"{server.host}:{server.grpc}") as client:
        pixels = client.infer("decode_image", [image]).as_numpy("PIXELS")
    assert pixels is not None
    return np.asarray(pixels[0], np.uint8)


def test_everything_that_is_copied_is_there() -> None:
    """What COPY names is in the build context."""
    files = context_files()
    for copy in STAGE.copies():
        assert not copy.source_stage
        assert all(any(path.is_relative_to(source) for path in files) for source in copy.sources)


def test_what_is_installed_is_pinned() -> None:
    """constraints.txt has the version of each; there is nothing that the model's code does not import."""
    pins = (ROOT / "constraints.txt").read_text()
    assert installs() == ["pillow", "simplejpeg"]
    assert all(re.search(rf"^{name}==\S+$", pins, re.MULTILINE) for name in installs())


def test_the_image_runs_without_root() -> None:
    """NVIDIA's image has an account for it; whoever starts the image by itself gets a server, too."""
    assert STAGE.values("USER") == ["1000:1000"]
    assert command_of(STAGE.values("CMD")[-1])[0] == "tritonserver"


def test_triton_decodes_with_what_the_image_has(triton: Endpoints) -> None:
    """A JPEG's pixels are those that this project's own server makes of it, bit for bit."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    file = simplejpeg.encode_jpeg(noise)
    pixels = ask(triton, file)
    np.testing.assert_array_equal(pixels, decode_crop(file, *pixels.shape[:2]))


def test_triton_says_what_is_no_image(triton: Endpoints) -> None:
    """A file that cannot be decoded is the caller's error, in the words of `imaging`."""
    with pytest.raises(InferenceServerException, match="not an image in a supported format"):
        ask(triton, b"no image")


def test_the_health_check_tells_a_server_that_is_ready(triton: Endpoints) -> None:
    """It passes where Triton is ready, and not where nobody listens."""
    python, *words = command_of(STAGE.values("HEALTHCHECK")[-1].partition("CMD")[2])
    assert python == "python3"
    assert "//127.0.0.1:8000/" in words[-1]
    for address, is_ready in ((f"{triton.host}:{triton.http}", True), (free_address(), False)):
        here = [sys.executable, *words[:-1], words[-1].replace("127.0.0.1:8000", address)]
        assert (subprocess.run(here, capture_output=True, check=False).returncode == 0) is is_ready
