"""What this server does with a model: it is asked, by loading the model as the server does, with a single instance."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.cpus import usable_cores
from server.load_error import LoadError
from server.model import ModelVersion
from server.model_config import BACKEND, ConfigError
from server.model_warmup import WarmUpError
from server.repository import ModelRepository

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig

_CONFIG_ERROR = re.compile(r"(?:.*/)?config\.pbtxt: ?(?:([0-9]+):[0-9]+ : )?(.*)", re.DOTALL)


@dataclass(slots=True)
class Attempt:
    """How loading one model went; an empty `error` means well.

    `config` is what was read, None where that failed; `version` the last one that was tried. `shapes` are those of the
    real outputs for one row, by version and in the order of config.pbtxt. `syntax_line` is 0 unless the error is one of
    the text format.
    """

    config: ModelConfig | None = None
    version: int = 0
    shapes: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    error: str = ""
    in_config: bool = False
    syntax_line: int = 0
    warm_up: str = ""

    def fail(self, error: LoadError) -> None:
        """Note why the model does not load."""
        self.error = str(error)
        if isinstance(error.__cause__, WarmUpError):
            self.warm_up = f"model_warmup[{error.__cause__.index}]"
        self.in_config = isinstance(error.__cause__, ConfigError)
        if self.in_config and (match := _CONFIG_ERROR.fullmatch(self.error)):
            self.syntax_line, self.error = int(match[1] or 0), match[2]


def attempt(directory: Path, name: str) -> Attempt:
    """Load all versions of the model `name`, below the repository `directory`, that the server would; and end them."""
    result = Attempt()

    def load_version(config: ModelConfig, version: int, model_directory: Path) -> ModelVersion:
        if config.name == name:  # else it is the model of an ensemble's step
            result.config, result.version = config, version
        alone = replace(config, instances=1, threads=None)
        return ModelVersion(alone, version, model_directory, usable_cores(), queue_capacity=1)

    repository = ModelRepository(directory, load_version)
    try:
        repository.load(name)
        result.shapes = {
            version.version: _output_shapes(version) for version in repository.ready() if _is_module(version, name)
        }
    except LoadError as error:
        result.fail(error)
    finally:
        repository.close(timeout_seconds=threading.TIMEOUT_MAX)
    return result


def _is_module(model: ModelVersion, name: str) -> bool:
    """Whether it is the TorchScript module `name` itself, not the model of an ensemble's step."""
    return model.config.backend == BACKEND and model.config.name == name


def _output_shapes(model: ModelVersion) -> list[tuple[int, ...]]:
    payload = tuple(bytes(spec.row_bytes) for spec in model.config.inputs)
    return [tuple(array.shape) for array in model.batcher.submit(payload, rows=1).result().result]
