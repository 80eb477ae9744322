"""A download is complete and right, or it is not there."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.checkpoint import load_state_file
from modeling.command import InputError
from modeling.download import cache_directory, fetch, git_blob_id, sha256
from modeling.export import main as export
from modeling.network import MobileNetV2
from modeling.weights import fetch_imagenet, load_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"weights" * 1000


@contextmanager
def serving(content: bytes, promised: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve a content under any path, with a size that may be wrong; give the address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(promised or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coordserve"


def test_cache_directory(cache: Path) -> None:
    """Downloads go where the user wants caches."""
    assert cache_directory() == cache


def test_known_digests() -> None:
    """Digests are those that `sha256sum` and `git hash-object` print."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_download_once(tmp_path: Path) -> None:
    """A file is downloaded whole, and not again while it is right."""
    path = tmp_path / "new" / "file"
    with serving(CONTENT) as (url, asked):
        for _ in range(2):
            assert fetch([f"{url}/file"], path, sha256, sha256(CONTENT), "?").read_bytes() == CONTENT

    assert asked == ["/file"]
    assert list(path.parent.iterdir()) == [path]


def test_damaged_file_is_replaced(tmp_path: Path) -> None:
    """A file that is there but wrong is downloaded again."""
    (tmp_path / "file").write_bytes(b"half")
    with serving(CONTENT) as (url, _):
        fetch([url], tmp_path / "file", sha256, sha256(CONTENT), "?")

    assert (tmp_path / "file").read_bytes() == CONTENT


def test_truncated_download(tmp_path: Path) -> None:
    """An answer that ends too early leaves no file and says what to do."""
    with (
        serving(CONTENT, promised=len(CONTENT) + 1) as (url, _),
        pytest.raises(InputError, match=r"ended after 7000 of 7001 bytes.*: ask a friend"),
    ):
        fetch([url], tmp_path / "file", sha256, sha256(CONTENT), "ask a friend")

    assert list(tmp_path.iterdir()) == []


def test_tampered_download(tmp_path: Path) -> None:
    """Other content than expected leaves no file."""
    with serving(CONTENT + b"!") as (url, _), pytest.raises(InputError, match="not the file that was expected"):
        fetch([url], tmp_path / "file", sha256, sha256(CONTENT), "ask a friend")

    assert list(tmp_path.iterdir()) == []


def test_mirror(tmp_path: Path) -> None:
    """Where an address fails or serves something else the next is tried."""
    with serving(CONTENT + b"!") as (wrong, _), serving(CONTENT) as (right, _):
        urls = ["http://127.0.0.1:9/file", wrong, right]
        assert fetch(urls, tmp_path / "file", sha256, sha256(CONTENT), "?").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/file", "nonsense"])
def test_no_network(tmp_path: Path, url: str) -> None:
    """An address that cannot be reached is named, with what to do."""
    with pytest.raises(InputError, match=f"cannot download {url} .*: ask a friend"):
        fetch([url], tmp_path / "file", sha256, "", "ask a friend")


def test_imagenet_weights(tmp_path: Path, cache: Path) -> None:
    """The authors' weights are downloaded, checked like Git does and loaded with what the paper says about them."""
    original = MobileNetV2().eval()
    torch.save(original.state_dict(), tmp_path / "mbv2_ca.pth")
    content = (tmp_path / "mbv2_ca.pth").read_bytes()
    with serving(content) as (url, _):
        path = fetch_imagenet([f"{url}/mbv2_ca.pth"], git_blob_id(content))

    assert path == cache / "mbv2_ca.pth"
    assert load_state_file(path).keys() == original.state_dict().keys()
    network, facts = load_weights(str(path))
    assert (facts.size, facts.crop_fraction, len(facts.classes)) == (224, 0.875, 1000)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network.eval()(images), original(images))


def test_tampered_imagenet_weights(cache: Path) -> None:
    """Weights that are not the authors' are not kept."""
    with serving(b"other weights") as (url, _), pytest.raises(InputError, match="--weights FILE"):
        fetch_imagenet([f"{url}/mbv2_ca.pth"])

    assert list(cache.glob("*")) == []


def test_export_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network the command says in one line how to get the weights."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    assert export(["--weights", "imagenet", "--model-repository", str(tmp_path / "repository")]) == 2

    error = capsys.readouterr().err
    assert "give its path as --weights FILE" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "repository").exists()
