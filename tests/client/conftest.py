"""Images, real servers, and both clients behind one face."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from PIL import Image

from client import AsyncClassifier, Classifier, ImageFailure
from tests.client.servicers import NativeServicer, serving
from tests.serving import TRITON, TRITON_START_SECONDS
from tests.torchscript_models import Colours, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from client import Classification, Result
    from tests.serving import ServerProcess

    StartServer = Callable[..., AbstractContextManager[ServerProcess]]

COMMAND = [sys.executable, "-m", "client"]
ROOT = Path(__file__).parents[2]
NOBODY = "127.0.0.1:1"
CONFIG = """
    platform: "pytorch_libtorch" max_batch_size: 4 dynamic_batching { }
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [32, 32, 3] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] label_filename: "labels.txt" } ]
    parameters { key: "CROP_FRACTION" value { string_value: "0.5" } }
"""
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


def encoded(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    """Draws an image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (48, 40), colour).save(file, kind)
    return file.getvalue()


def best(results: list[Result]) -> list[int | type]:
    """Returns the best class of each image, or its failure's class."""
    return [type(each.error) if isinstance(each, ImageFailure) else each.best.index for each in results]


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """A red, a green and a blue image; their best classes are 0, 1 and 2."""
    return [encoded(colour) for colour in COLOURS.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with `a/blue.webp`, `green.JPG`, `red.png` and a text."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "blue.webp").write_bytes(encoded(COLOURS["blue"], "WEBP"))
    (tmp_path / "green.JPG").write_bytes(encoded(COLOURS["green"], "JPEG"))
    (tmp_path / "red.png").write_bytes(encoded(COLOURS["red"]))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server in this process."""
    with serving(NativeServicer()) as address:
        yield address


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with `colour`, which says how red, green and blue an image is, and `broken`, not loadable."""
    directory = tmp_path_factory.mktemp("repository")
    for name in ("colour", "broken"):
        model = write_model(directory / name, Colours(channels_first=False), CONFIG)
        (model / "labels.txt").write_text("red\ngreen: leaf\nbleu café\n", encoding="utf-8")
    (directory / "broken" / "1" / "model.pt").write_bytes(b"no model")
    return directory


@pytest.fixture(scope="session")
def running_server(repository: Path, start_server: StartServer) -> Iterator[str]:
    """The gRPC address of CoordServe's server on that repository."""
    with start_server(repository, "--no-strict-readiness") as server:
        yield server.grpc_address


@pytest.fixture(scope="session")
def running_triton(repository: Path, start_server: StartServer) -> Iterator[str]:
    """The gRPC address of a real Triton on that repository."""
    with start_server(repository, "--exit-on-error=false", command=TRITON, loaded=False) as triton:
        triton.wait_loaded(TRITON_START_SECONDS)
        yield triton.grpc_address
        triton.send_signal(signal.SIGINT)
        triton.wait_exit()


class Client(Protocol):
    """One call of a client that is made for it and closed after it."""

    def classify(self, url: str, image: Any, model: str = "", **options: Any) -> Classification:
        """Classifies one image."""

    def classify_many(self, url: str, images: Iterable[Any], model: str = "", **options: Any) -> list[Result]:
        """Classifies images and collects the results."""

    def call(self, url: str, method: str) -> Any:
        """Calls a method without arguments."""


class _SyncClient:
    def classify(self, url: str, image: Any, model: str = "", **options: Any) -> Classification:
        with Classifier(url, model) as classifier:
            return classifier.classify(image, **options)

    def classify_many(self, url: str, images: Iterable[Any], model: str = "", **options: Any) -> list[Result]:
        with Classifier(url, model) as classifier:
            return list(classifier.classify_many(images, **options))

    def call(self, url: str, method: str) -> Any:
        with Classifier(url, timeout_seconds=5) as classifier:
            return getattr(classifier, method)()


class _AsyncClient:
    def classify(self, url: str, image: Any, model: str = "", **options: Any) -> Classification:
        async def classify() -> Classification:
            async with AsyncClassifier(url, model) as classifier:
                return await classifier.classify(image, **options)

        return asyncio.run(classify())

    def classify_many(self, url: str, images: Iterable[Any], model: str = "", **options: Any) -> list[Result]:
        async def classify_many() -> list[Result]:
            async with AsyncClassifier(url, model) as classifier:
                return [result async for result in classifier.classify_many(images, **options)]

        return asyncio.run(classify_many())

    def call(self, url: str, method: str) -> Any:
        async def call() -> Any:
            async with AsyncClassifier(url, timeout_seconds=5) as classifier:
                return await getattr(classifier, method)()

        return asyncio.run(call())


_CLIENTS: dict[str, Callable[[], Client]] = {"Classifier": _SyncClient, "AsyncClassifier": _AsyncClient}


@pytest.fixture(params=_CLIENTS)
def client(request: pytest.FixtureRequest) -> Client:
    """Each of the two clients."""
    return _CLIENTS[request.param]()
