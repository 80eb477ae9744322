"""Load goes to servers behind TLS, too."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trustme

from loadtest.address import Address
from loadtest.calibration import null_server
from loadtest.target import TargetError, find_target
from tests.loadtest.locust_process import locust, summary, with_workers
from tests.loadtest.tls_proxy import tls_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server behind TLS."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(null_server("--size", "16"))
        yield stack.enter_context(tls_proxy(server, AUTHORITY.issue_cert("127.0.0.1")))


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that vouches for it."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the load generator."""
    command = [sys.executable, "-m", "loadtest", "run", "constant", "--warm-up", "0", "--no-calibration", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_load_goes_through_tls(url: str, ca: str, tmp_path: Path) -> None:
    """With the authority's certificate every request of every process is answered."""
    finished = run(
        *("--url", url, "--ca", ca, "--rate", "50", "--duration", "1s", "--processes", "2", "--output", str(tmp_path))
    )

    found = summary(tmp_path)
    assert found["errors"] == {}, finished.stderr
    assert found["requests"] == 50


def test_authorities_that_grpc_knows_are_enough(url: str, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they vouch for the server, --tls alone does."""
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", ca)
    finished = run("--url", url, "--tls", "--rate", "50", "--duration", "1s")

    assert "50 requests" in finished.stdout, finished.stdout + finished.stderr


def test_locust_goes_through_tls(url: str, ca: str, images: str, tmp_path: Path) -> None:
    """Likewise."""
    run_time = ("--users", "20", "--spawn-rate", "20", "--run-time", "3s", "--warm-up", "0")
    finished = locust("--host", url, "--ca", ca, "--images", images, *run_time, "--output", str(tmp_path))

    found = summary(tmp_path)
    assert found["errors"] == {}, finished.stderr
    assert found["requests"] > 10


def test_nobody_is_loaded_whom_nobody_vouches_for(url: str) -> None:
    """Neither a server of an unknown authority nor, without TLS, one that speaks it."""
    for authorities in (b"", None):
        with pytest.raises(TargetError, match=f"^{url}: UNAVAILABLE: "):
            find_target(Address(url, authorities))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read {}: No such file"), ("no PEM", "{} holds no certificate in PEM")]
)
def test_a_file_that_vouches_for_nobody(tmp_path: Path, content: str | None, message: str) -> None:
    """It is named in one line."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    finished = run("--url", "127.0.0.1:1", "--ca", str(path))

    assert finished.returncode == 2
    assert finished.stderr.startswith(f"loadtest: {message.format(path)}")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_locust_names_a_file_that_vouches_for_nobody(workers: int, tmp_path: Path) -> None:
    """A master, too, says so in one line."""
    path = str(tmp_path / "absent.pem")
    processes = with_workers(workers) if workers else ()
    finished = locust("--host", "127.0.0.1:1", "--ca", path, "--users", "1", "--run-time", "30s", *processes)

    assert finished.returncode == 2
    assert f"loadtest: cannot read {path}: No such file" in finished.stderr
    assert "Traceback" not in finished.stderr
