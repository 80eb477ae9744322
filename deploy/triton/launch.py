"""The environment in which tritonserver runs: backends, libraries, ports."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from deploy.triton.errors import LaunchError
from deploy.triton.stub_environment import installed_environment
from deploy.triton.wheel import installed_triton

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTORCH_BACKEND = Path(__file__).parent / "backends" / "pytorch"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where Triton listens: one address, three ports; 0 stands for any free port."""

    host: str
    grpc: int
    http: int
    metrics: int

    def resolved(self) -> Endpoints:
        """Return the same with a free port in place of each 0, which tritonserver itself does not take."""
        with ExitStack() as held:
            ports = [port or _free_port(self.host, held) for port in (self.grpc, self.http, self.metrics)]
        return Endpoints(self.host, *ports)

    def flags(self) -> list[str]:
        """Return tritonserver's flags for them."""
        ports = {"grpc": self.grpc, "http": self.http, "metrics": self.metrics}
        addresses = [f"--{name}-address={self.host}" for name in ports]
        return addresses + [f"--{name}-port={port}" for name, port in ports.items()]

    def __str__(self) -> str:
        """Return the addresses as the command prints them."""
        http, metrics = f"http://{self.host}:{self.http}", f"http://{self.host}:{self.metrics}/metrics"
        return f"listening: gRPC on {self.host}:{self.grpc}, HTTP on {http}, metrics on {metrics}"


def launch(model_repository: Path, endpoints: Endpoints, triton_flags: Sequence[str]) -> NoReturn:
    """Print the addresses and become tritonserver: from then on signals and the exit code are its own.

    Args:
        model_repository: The directory that holds the models.
        endpoints: Where to listen.
        triton_flags: Further flags of tritonserver, such as `--model-control-mode=explicit`.

    Raises:
        LaunchError: The repository, the wheel, its stub for this Python or libpython is missing.
    """
    if not model_repository.is_dir():
        raise LaunchError(f"model repository {model_repository} is no directory")
    triton = installed_triton()
    link_backends(triton)
    environment = stub_environment(installed_environment())
    endpoints = endpoints.resolved()
    print(endpoints, flush=True)  # noqa: T201 - a command's output
    binary = triton / "bin" / "tritonserver"
    flags = [f"--model-repository={model_repository}", f"--backend-directory={triton / 'backends'}", *endpoints.flags()]
    os.execve(binary, [str(binary), *flags, *triton_flags], environment)  # noqa: S606 - no shell is wanted


def link_backends(triton: Path) -> None:
    """Complete the wheel's backend directory with the stub for this Python and with our `pytorch` backend.

    Raises:
        LaunchError: The wheel has no stub for this version of Python.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        raise LaunchError(f"this Triton runs no models with Python {version}: {stub} is missing")
    _link(triton / "backends" / "python" / stub.name, stub)
    _link(triton / "backends" / "pytorch", PYTORCH_BACKEND)


def stub_environment(python: Path | None) -> dict[str, str]:
    """Return an environment in which a stub, which takes `python3` from PATH and needs libpython, finds its Python.

    That is the one of the virtual environment `python`; without one, the Python that runs this.

    OpenMP's threads sleep while they wait, unless the caller's environment says otherwise: with spinning ones a forward
    pass takes ten times as long as soon as something else runs on the same cores.

    Raises:
        LaunchError: This Python has no shared library.
    """
    library = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
    if library.suffix == ".a" or not library.exists():
        raise LaunchError(f"{library} is no shared library: Triton's models need a Python that was built with one")
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "PATH": _prepended(python / "bin" if python else Path(sys.executable).parent, "PATH"),
        "LD_LIBRARY_PATH": _prepended(library.parent, "LD_LIBRARY_PATH"),
    }


def _prepended(directory: Path, variable: str) -> str:
    return os.pathsep.join(filter(None, [str(directory), os.environ.get(variable)]))


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _free_port(host: str, held: ExitStack) -> int:
    # Held until all are chosen, so that no two are the same.
    listener = held.enter_context(socket.socket())
    listener.bind((host, 0))
    return int(listener.getsockname()[1])
