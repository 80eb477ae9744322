"""Small models in a repository, for tests of what loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.errors import ModelFailed
from server.model import ModelVersion
from server.repository import ModelRepository
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from torch import nn

    from server.model_config import ModelConfig

ROW = """
    platform: "pytorch_libtorch"  max_batch_size: 4  instance_group [ { count: 1 } ]  dynamic_batching { }
    input [ { name: "INPUT__0" data_type: TYPE_INT64 dims: [ 2 ] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_INT64 dims: [ 1 ] } ]
"""
ALL = ROW + "version_policy { all { } }"


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


def end_instance(version: ModelVersion, payload: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the thread of the only instance die of its next batch; pytest warns of it."""
    [instance], [thread] = version.batcher._instances, version.batcher._threads

    def die(*_batch: Any) -> None:
        raise KeyboardInterrupt  # what the batcher does not take for a mistake in a batch

    monkeypatch.setattr(instance, "run", die)
    assert isinstance(version.batcher.submit(payload, 1).exception(HANGING_SECONDS), ModelFailed)
    thread.join(HANGING_SECONDS)
    assert not thread.is_alive()
