"""Loading the versions of one model: all that its version policy asks for, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from server import model_config, model_directories
from server.load_error import printable
from server.model_config import ConfigError, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from server.model import ModelVersion
    from server.model_states import ModelRecord

logger = logging.getLogger(__name__)


class VersionLoader:
    """Reads the models below `directory`; `retire` takes versions that were loaded for nothing."""

    def __init__(
        self,
        directory: Path,
        load_version: Callable[[ModelConfig, int, Path], ModelVersion],
        retire: Callable[[Iterable[ModelVersion]], None],
    ) -> None:
        self._directory = directory
        self._load_version = load_version
        self._retire = retire

    def read_config(self, name: str, override: str | None = None) -> ModelConfig:
        """Read the configuration of a model, or the JSON `override` that takes its place.

        Raises:
            ConfigError: there is no such model, or its configuration cannot be used.
        """
        if name not in model_directories.list_all(self._directory):  # it must not lead out of the directory
            raise ConfigError(f"no directory {name} in the model repository")
        directory = self._directory / name
        return model_config.read(directory) if override is None else model_config.parse_override(override, directory)

    def load(self, config: ModelConfig, record: ModelRecord) -> list[ModelVersion]:
        """Load what the version policy picks, and tell in `record` how far that is.

        Raises:
            ConfigError: the policy picks nothing.
            EngineError, ModelFailed, ShuttingDown: a version did not load; none of the others is left.
        """
        directory = self._directory / config.name
        if config.ignored:
            ignored = printable(", ".join(config.ignored))
            fields = {"model": config.name}
            logger.warning(
                "%s: config.pbtxt sets what this server does not honour: %s", config.name, ignored, extra=fields
            )
        numbers = config.versions_to_serve(model_directories.versions(directory))
        if not numbers:
            raise ConfigError("no version directory that the version policy allows")
        loaded: list[ModelVersion] = []
        try:
            for number in numbers:
                with record.loading(number):
                    loaded.append(self._load(config, number, directory))
        except Exception:
            self._retire(loaded)
            raise
        return loaded

    def _load(self, config: ModelConfig, number: int, directory: Path) -> ModelVersion:
        version = self._load_version(config, number, directory)
        logger.info(
            "%s version %d: ready after %.1f s, %d instances of %d threads, batches up to %d",
            config.name,
            number,
            version.load_seconds,
            version.instances,
            version.threads,
            config.max_rows,
            extra={"model": config.name, "version": number},
        )
        return version
