"""Tiny networks, images and data sets."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from modeling.facts import ModelFacts
from modeling.sources import read_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn


COLOURS = {"blue": (20, 30, 220), "green": (20, 200, 40), "red": (230, 20, 30)}


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def coloured_image(colour: tuple[int, int, int], generator: np.random.Generator) -> bytes:
    """Draw a noisy image of one colour, as PNG."""
    noise = generator.integers(-20, 21, (12, 12, 3))
    return encoded(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Compute with one thread: on a busy machine several mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def colours(coloured_folder: Path) -> tuple[Tensor, Tensor]:
    """The pixels, uint8 [36, 32, 32, 3], and labels of three colours."""
    return read_images(coloured_folder).decode(32, 1.0)


@pytest.fixture(scope="session")
def coloured_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each of three colours, of twelve images each."""
    folder = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(12):
            (folder / name / f"{number}.png").write_bytes(coloured_image(colour, generator))
    return folder


@pytest.fixture
def packed_file(tmp_path: Path) -> Path:
    """An `.npz` file with two images of each of three colours."""
    generator = np.random.default_rng(1)
    images = [coloured_image(colour, generator) for colour in COLOURS.values() for _ in range(2)]
    path = tmp_path / "colours.npz"
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(images), np.uint8),
        offset=np.cumsum([0, *map(len, images)]),
        label=np.array([0, 0, 1, 1, 2, 2], np.uint8),
        classes=np.array(list(COLOURS)),
    )
    return path


@pytest.fixture
def facts() -> ModelFacts:
    """The facts of a tiny network that tells the colours apart."""
    return ModelFacts(tuple(COLOURS), size=32, width=0.11, crop_fraction=0.875)


@pytest.fixture
def randomised() -> Callable[[nn.Module], nn.Module]:
    """Give a module weights and statistics as different from each other as after training, and stop training it."""

    def randomise(module: nn.Module) -> nn.Module:
        for name, tensor in module.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(-0.5, 0.5)
        return module.eval()

    return randomise


@pytest.fixture
def trained(randomised: Callable[[nn.Module], nn.Module]) -> Callable[[ModelFacts], nn.Module]:
    """Build a network that is as if it was trained."""

    def build(facts: ModelFacts) -> nn.Module:
        torch.manual_seed(0)
        network = randomised(facts.build())
        for name, parameter in network.named_parameters():
            if name.startswith("classifier") and parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.02)
        return network

    return build
