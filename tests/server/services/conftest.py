"""Models that requests are read for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server import model_config

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig

_PLATFORM, _IN_PYTHON = 'platform: "pytorch_libtorch"', 'backend: "python"'
_CONFIGS = {
    "img": """
        max_batch_size: 8
        input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]
        """,
    "nobatch": """
        input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]
        """,
    "texts": """
        max_batch_size: 8
        input [ { name: "TEXT" data_type: TYPE_STRING dims: [ -1 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]
        """,
    "multi": """
        max_batch_size: 4
        input [ { name: "A" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "B" data_type: TYPE_INT64 dims: [ 1 ] } ]
        input [ { name: "C" data_type: TYPE_BOOL dims: [ 2 ] } ]
        output [ { name: "X" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "Y" data_type: TYPE_BOOL dims: [ 2 ] } ]
        output [ { name: "Z" data_type: TYPE_FP16 dims: [ 2 ] }, { name: "W" data_type: TYPE_INT64 dims: [ 1 ] } ]
        """,
}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelConfig]:
    """The models that requests are checked against."""

    def read(name: str, text: str) -> ModelConfig:
        directory: Path = tmp_path_factory.mktemp("repository") / name
        directory.mkdir()
        (directory / "config.pbtxt").write_text((_IN_PYTHON if "TYPE_STRING" in text else _PLATFORM) + text)
        return model_config.read(directory)

    return {name: read(name, text) for name, text in _CONFIGS.items()}
