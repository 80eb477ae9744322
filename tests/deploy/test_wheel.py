from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from deploy.triton.errors import LaunchError
from deploy.triton.wheel import installed_triton

if TYPE_CHECKING:
    from pathlib import Path


def write_requirements(directory: Path, version: str, *, digest: str = "") -> Path:
    """Build a wheel with a `tritonserver` in it that tells `version`, and requirements that pin it."""
    wheel = directory / f"nvidia_pytriton-{version}-py3-none-any.whl"
    info = f"nvidia_pytriton-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pytriton/tritonserver/bin/tritonserver", version)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: nvidia-pytriton\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements = directory / "requirements.txt"
    requirements.write_text(f"nvidia-pytriton @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return requirements


def test_the_pinned_wheel_is_installed_once_and_replaced_when_the_pin_changes(tmp_path: Path) -> None:
    """The first call installs, a second does not, and a new pin takes the place of the old one."""
    directory = tmp_path / ".triton"
    requirements = write_requirements(tmp_path, "1.0")
    binary = installed_triton(directory, requirements) / "bin" / "tritonserver"
    assert binary.read_text() == "1.0"
    binary.write_text("kept")
    installed_triton(directory, requirements)
    assert binary.read_text() == "kept"
    installed_triton(directory, write_requirements(tmp_path, "2.0"))
    assert binary.read_text() == "2.0"


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    """What is not the pinned file is not installed."""
    requirements = write_requirements(tmp_path, "1.0", digest="0" * 64)
    with pytest.raises(LaunchError, match="pip could not install"):
        installed_triton(tmp_path / ".triton", requirements)
    assert not (tmp_path / ".triton").exists()
