"""Small models in a repository, for tests of what loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.model import ModelVersion
from server.repository import ModelRepository
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from server.model_config import ModelConfig

ROW = """
    platform: "pytorch_libtorch"  max_batch_size: 4  instance_group [ { count: 1 } ]  dynamic_batching { }
    input [ { name: "INPUT__0" data_type: TYPE_INT64 dims: [ 2 ] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_INT64 dims: [ 1 ] } ]
"""


def write_model(directory: Path, module: nn.Module | bytes, config: str = ROW, version: int = 1) -> None:
    """Write a model `directory` with one version; bytes instead of a module are written as they are."""
    path = directory / str(version) / "model.pt"
    if isinstance(module, bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module)
    else:
        save_module(module, path)
    (directory / "config.pbtxt").write_text(config)


def load_version(config: ModelConfig, version: int, directory: Path) -> ModelVersion:
    """Load a model version as a server with one core does."""
    return ModelVersion(config, version, directory, 1, 1024)


def open_repository(directory: Path) -> ModelRepository:
    """A repository in which nothing is loaded."""
    return ModelRepository(directory, load_version)
