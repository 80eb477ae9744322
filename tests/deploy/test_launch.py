from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.triton.errors import LaunchError
from deploy.triton.launch import PYTORCH_BACKEND, Endpoints, link_backends, stub_environment


def triton_folder(directory: Path) -> Path:
    """The folders of a wheel of Triton, as far as backends are concerned."""
    stub = directory / "python_backend_stubs" / f"3.{sys.version_info.minor}" / "triton_python_backend_stub"
    stub.parent.mkdir(parents=True)
    stub.touch()
    (directory / "backends" / "python").mkdir(parents=True)
    return directory


def test_a_port_of_0_becomes_a_free_one() -> None:
    """Free ports take the place of zeros, each another one; given ports stay."""
    resolved = Endpoints("127.0.0.1", grpc=0, http=0, metrics=8002).resolved()
    assert resolved.metrics == 8002
    assert len({0, resolved.grpc, resolved.http, resolved.metrics}) == 4


def test_every_endpoint_listens_on_the_host_alone() -> None:
    """Triton's own default, all interfaces, holds for no endpoint."""
    flags = Endpoints("127.0.0.1", grpc=1, http=2, metrics=3).flags()
    for name, port in (("grpc", 1), ("http", 2), ("metrics", 3)):
        assert f"--{name}-address=127.0.0.1" in flags
        assert f"--{name}-port={port}" in flags


def test_backends_are_linked_for_this_python(tmp_path: Path) -> None:
    """The stub of the running version and the pytorch backend are put in place, over links of another time."""
    triton = triton_folder(tmp_path)
    (triton / "backends" / "pytorch").symlink_to(tmp_path / "moved")
    for _ in range(2):
        link_backends(triton)
        assert (triton / "backends" / "pytorch").resolve() == PYTORCH_BACKEND
        stub = triton / "backends" / "python" / "triton_python_backend_stub"
        assert stub.resolve().parent.name == f"3.{sys.version_info.minor}"


def test_a_python_without_a_stub_is_told_of(tmp_path: Path) -> None:
    """A version of Python that Triton cannot run models with is one clear error."""
    with pytest.raises(LaunchError, match="runs no models with Python"):
        link_backends(tmp_path)


def test_the_stub_finds_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python's folder, or that of an environment, comes first on PATH, its library's on LD_LIBRARY_PATH."""
    monkeypatch.setenv("PATH", "/first")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/libraries")
    environment = stub_environment(None)
    assert environment["PATH"] == f"{Path(sys.executable).parent}:/first"
    libraries, rest = environment["LD_LIBRARY_PATH"].split(":")
    assert list(Path(libraries).glob("libpython3*.so*"))
    assert rest == "/libraries"
    assert stub_environment(Path("/other"))["PATH"] == "/other/bin:/first"


def test_openmp_waits_asleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait policy is a default: what the environment says holds."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert stub_environment(None)["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert stub_environment(None)["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_missing_repository_is_one_line(tmp_path: Path) -> None:
    """The command ends with status 1 and says what is missing."""
    command = [sys.executable, "-m", "deploy.triton", "--model-repository", str(tmp_path / "absent")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PYTORCH_BACKEND.parents[3])
    assert result.returncode == 1
    assert result.stderr == f"deploy.triton: model repository {tmp_path / 'absent'} is no directory\n"
