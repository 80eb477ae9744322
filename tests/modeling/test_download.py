"""A download is complete and right, or it is not there."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import torch

from modeling import weights
from modeling.command import InputError
from modeling.download import cache_directory, fetch, git_blob_id, sha256
from modeling.export import main as export
from modeling.facts import IMAGENET_MEAN, IMAGENET_STD
from modeling.torchscript import load_torchscript
from modeling.weights import IMAGENET_LABELS_FILE, fetch_imagenet, load_weights, read_labels
from tests.modeling import authors_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def test_cache_directory_must_be_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path that depends on where one stands is ignored, as the specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_directory() == tmp_path / ".cache" / "coordserve"


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


def test_wrong_file_and_no_network(tmp_path: Path) -> None:
    """Who put the file there by hand is told that it is not the right one."""
    (tmp_path / "file").write_bytes(b"something else")

    with pytest.raises(InputError, match=f"{tmp_path / 'file'} is not the file that was expected .*: ask a friend"):
        fetch(["http://127.0.0.1:9/file"], tmp_path / "file", sha256, "", "ask a friend")


@pytest.fixture
def authors_file(tmp_path: Path) -> bytes:
    """A file like that of the authors, with random weights."""
    torch.save(authors_network.random_state(classes=1000, seed=0), tmp_path / "mbv2_ca.pth")
    return (tmp_path / "mbv2_ca.pth").read_bytes()


def export_imagenet(url: str, expected: bytes, repository: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command as `make export WEIGHTS=imagenet` does, but for the address of the file and its content."""
    there = partial(fetch_imagenet, [f"{url}/mbv2_ca.pth"], git_blob_id(expected))
    monkeypatch.setattr(weights, "fetch_imagenet", there)
    small = ["--size", "32", "--max-batch-size", "1"]
    return export(["--weights", "imagenet", "--model-repository", str(repository), *small])


def test_imagenet_weights(authors_file: bytes, cache: Path) -> None:
    """The authors' weights are downloaded, checked like Git does and loaded with what the paper says about them."""
    with serving(authors_file) as (url, _):
        path = fetch_imagenet([f"{url}/mbv2_ca.pth"], git_blob_id(authors_file))

    assert path == cache / "mbv2_ca.pth"
    _, facts = load_weights(str(path))
    assert (facts.network, facts.width, facts.attention) == ("mobilenetv2", 1.0, "ca")
    assert (facts.size, facts.crop_fraction, len(facts.classes)) == (224, 0.875, 1000)


def test_exported_imagenet_weights(authors_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They become a model of their own, beside any other, with ImageNet's labels and the authors' probabilities."""
    repository = tmp_path / "repository"
    with serving(authors_file) as (url, _):
        assert export_imagenet(url, authors_file, repository, monkeypatch) == 0

    models = {"ca_mobilenetv2_imagenet", "classify_imagenet", "decode_imagenet"}
    assert {folder.name for folder in repository.iterdir()} == models
    folder = repository / "ca_mobilenetv2_imagenet"
    assert read_labels(folder / "labels.txt") == read_labels(IMAGENET_LABELS_FILE)
    module, facts, _ = load_torchscript(folder / "1" / "model.pt")
    pixels = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    images = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(
        IMAGENET_STD
    ).view(3, 1, 1)
    with torch.inference_mode():
        state = torch.load(io.BytesIO(authors_file), weights_only=True)
        expected = authors_network.logits(state, images).softmax(dim=1)
        torch.testing.assert_close(module(pixels), expected, rtol=0, atol=1e-5)
    assert (len(facts.classes), facts.classes[207]) == (1000, "golden retriever")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(lambda content: content[:-1], "the connection ended after"), (lambda content: content + b"!", "not the file")],
    ids=["truncated", "tampered"],
)
def test_damaged_imagenet_weights(
    authors_file: bytes,
    damage: Callable[[bytes], bytes],
    message: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Weights that are not the authors' are not kept, and no model is made of them: one line says so."""
    with serving(damage(authors_file), promised=max(len(authors_file), len(damage(authors_file)))) as (url, _):
        assert export_imagenet(url, authors_file, tmp_path / "repository", monkeypatch) == 2

    error = capsys.readouterr().err
    assert message in error
    assert "give its path as --weights FILE" in error
    assert error.count("\n") == 1
    assert list(cache.glob("*")) == []
    assert not (tmp_path / "repository").exists()


def test_export_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network the command says in one line how to get the weights."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    assert export(["--weights", "imagenet", "--model-repository", str(tmp_path / "repository")]) == 2

    error = capsys.readouterr().err
    assert "give its path as --weights FILE" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "repository").exists()
