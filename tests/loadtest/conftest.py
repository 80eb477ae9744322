"""A server that classifies images, for the commands that load one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.torchscript_models import BATCHING, Colours, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

IMAGES = """
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [32, 32, 3] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] label_filename: "labels.txt" } ]
"""


@pytest.fixture(scope="session")
def image_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one model, which tells how red, green and blue an image is."""
    directory = tmp_path_factory.mktemp("images")
    model = write_model(directory / "colours", Colours(channels_first=False), BATCHING + IMAGES)
    (model / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def image_server_process(
    image_repository: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> Iterator[ServerProcess]:
    """A running server of that repository."""
    with start_server(image_repository, "--lame-duck-seconds", "0") as server:
        yield server


@pytest.fixture(scope="session")
def image_server(image_server_process: ServerProcess) -> str:
    """Its address."""
    return image_server_process.grpc_address


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Small pictures, so that the test is about sending and not about making pictures."""
    directory = tmp_path_factory.mktemp("images")
    for color in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), color).save(directory / f"{color}.png")
    return str(directory)
