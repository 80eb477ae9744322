"""Commands reach a server behind TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
import trustme

from client.command_line import main
from tests.client.servicers import NativeServicer, PlainServicer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for the server."""
    return trustme.CA()


@pytest.fixture(scope="module")
def url(authority: trustme.CA) -> Iterator[str]:
    """The address of a server that speaks TLS."""
    certificate = authority.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    with serving(NativeServicer(), PlainServicer(), credentials=credentials) as address:
        yield address


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    """The file that vouches for it."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_classify(url: str, ca: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the authority's certificate it goes as without encryption."""
    assert main(["classify", str(folder), "--url", url, "--ca", ca, "--top-k", "1"], {}) == 0
    assert "bleu café" in capfd.readouterr().out


def test_strangers(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A server for which nobody vouches is not spoken to, nor one that speaks TLS without it."""
    for options in (["--tls"], []):
        assert main(["classify", str(folder / "red.png"), "--url", url, "--timeout", "5", *options], {}) == 3
        assert f"cannot reach the server at {url}: " in capfd.readouterr().err  # after what gRPC itself logs


def test_absent_file(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read is named."""
    assert main(["status", "--url", url, "--ca", str(tmp_path / "absent.pem")], {}) == 2
    assert capfd.readouterr().err == f"cannot read {tmp_path / 'absent.pem'}: No such file or directory\n"


def test_no_certificate(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that vouches for nobody is named."""
    assert main(["status", "--url", url, "--ca", str(folder / "notes.txt")], {}) == 2
    assert capfd.readouterr().err == f"{folder / 'notes.txt'} holds no certificate in PEM\n"
