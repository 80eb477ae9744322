"""The model repository: which models and versions there are, which are ready, and how they come and go."""

from __future__ import annotations

import contextlib
import enum
import logging
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server import model_config, model_directories
from server.engine import EngineError
from server.errors import ModelFailed, ModelNotFound, ModelNotReady, ShuttingDown, StartError
from server.model_config import ConfigError, ForeignModel, ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from server.model import ModelVersion

logger = logging.getLogger(__name__)

_MOST_CHARACTERS = 1000  # of a text in the log
_ENDED = "an instance of it has ended unexpectedly"


class State(enum.Enum):
    """A version's state, in the words of RepositoryIndex."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


class LoadError(Exception):
    """A model did not load; whatever served before goes on serving. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the repository's index; `version` is 0 when no version is known."""

    name: str
    version: int
    state: State
    reason: str


@dataclass(slots=True)
class _Model:
    """What is known of one name.

    `ready` answers requests, `states` tells of every version that was ever tried; `error` is why the last load failed,
    empty once one succeeds or the model is unloaded.
    """

    ready: dict[int, ModelVersion] = field(default_factory=dict)
    states: dict[int, tuple[State, str]] = field(default_factory=dict)
    error: str = ""

    def current_states(self) -> dict[int, tuple[State, str]]:
        """The states, with those of versions that have ended since they were loaded."""
        ended = (number for number, version in self.ready.items() if not version.batcher.alive)
        return dict(self.states) | dict.fromkeys(ended, (State.UNAVAILABLE, _ENDED))


class ModelRepository:
    """The models below one directory. Loading and unloading block; looking up does not. Safe from any thread."""

    def __init__(self, directory: Path, load_version: Callable[[ModelConfig, int, Path], ModelVersion]) -> None:
        """Watch over `directory`.

        Raises:
            StartError: there is no such directory, or it cannot be read.
        """
        try:
            if not directory.is_dir():
                raise StartError(f"model repository {directory} is not a directory")
            model_directories.list_all(directory)
        except OSError as error:
            raise StartError(f"model repository {directory} cannot be read: {_reason(error)}") from error
        self._directory = directory
        self._load_version = load_version
        self._models: dict[str, _Model] = {}
        self._changing = threading.Lock()  # one load or unload at a time
        # Those that may still have work. Who holds a lease, or waits for threads to end, keeps them alive: nobody else.
        self._retired: weakref.WeakSet[ModelVersion] = weakref.WeakSet()
        self._closed = False

    # Looking up.

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """The version of a model that answers requests; `None` is the latest that is ready.

        Raises:
            ModelNotFound, ModelNotReady: with Triton's texts.
        """
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"Request for unknown model: '{name}' is not found")
        ready = model.ready
        if version is None:
            if not ready:
                raise ModelNotFound(f"Request for unknown model: '{name}' has no available versions")
            version = max(ready)
        if version not in ready:
            if version in model.states:
                raise ModelNotReady(f"Request for unknown model: '{name}' version {version} is not at ready state")
            raise ModelNotFound(f"Request for unknown model: '{name}' version {version} is not found")
        if not ready[version].batcher.alive:
            raise ModelNotReady(f"Request for unknown model: '{name}' version {version} is not ready: {_ENDED}")
        return ready[version]

    @contextlib.contextmanager
    def lease(self, name: str, version: int | None = None) -> Iterator[ModelVersion]:
        """As `get`, and keep the version alive meanwhile, even if it is replaced or unloaded.

        Raises:
            ModelNotFound, ModelNotReady: as `get`.
        """
        while not (model := self.get(name, version)).acquire():
            pass  # it was replaced at this very moment: its successor answers already
        try:
            yield model
        finally:
            model.release()

    def ready(self) -> list[ModelVersion]:
        """Every version that answers requests, by name and version."""
        return [version for version in self._loaded() if version.batcher.alive]

    def ended(self) -> list[str]:
        """The models that are loaded, but have lost an instance: they serve nothing until they are loaded again."""
        return sorted({version.config.name for version in self._loaded() if not version.batcher.alive})

    def _loaded(self) -> list[ModelVersion]:
        models = sorted(self._models.items())
        return [version for _, model in models for _, version in sorted(model.ready.items())]

    def index(self) -> list[IndexEntry]:
        """Every model of the directory, and every version that was tried, by name and version."""
        entries = []
        for name in sorted({*self._names_if_any(), *self._models}):
            states = self._models[name].current_states() if name in self._models else {}
            entries += [IndexEntry(name, version, *states[version]) for version in sorted(states)]
            if not states:
                error = self._models[name].error if name in self._models else ""
                entries.append(IndexEntry(name, 0, State.UNAVAILABLE, error))
        return entries

    def _names_if_any(self) -> list[str]:
        try:
            return self.names()
        except OSError as error:
            logger.warning("model repository %s: %s", self._directory, _reason(error))
            return []

    def failed(self) -> list[str]:
        """The models that did not load and have nothing else that serves; one that was unloaded has not failed."""
        return sorted(name for name, model in list(self._models.items()) if model.error and not model.ready)

    def names(self) -> list[str]:
        """The directories that hold a model each.

        Raises:
            OSError: the repository cannot be read any more.
        """
        return model_directories.models(self._directory)

    # Changing.

    def check_configs(self, names: list[str]) -> None:
        """Read the config.pbtxt of each of `names`, and load nothing. Models for other servers may be among them.

        Raises:
            StartError: one of them cannot be used, which is a mistake to mend before anything is served.
        """
        try:
            for name in names:
                with contextlib.suppress(ForeignModel):  # loading it tells
                    self._read_config(name)
        except ConfigError as error:
            raise StartError(_printable(error)) from error

    def load_all(self, names: list[str], stopping: Callable[[], bool]) -> None:
        """Load the models `names` until `stopping()`; one that is broken is reported and does not stop the others."""
        for name in names:
            if stopping():
                return
            self._models.setdefault(name, _Model())
            with contextlib.suppress(LoadError):  # logged, and told in the index
                self.load(name)

    def load(self, name: str, config_override: str | None = None) -> None:
        """Load or reload a model: warm the new versions, swap, then drain the old ones.

        Nothing is swapped unless every version that the policy asks for is good. Returns when the new ones answer.

        Raises:
            LoadError: it did not load; what served before goes on serving.
        """
        with self._changing:
            if self._closed:
                raise LoadError("the server is stopping")
            try:
                loaded = self._load_versions(name, config_override)
            except ShuttingDown as error:
                logger.info("%s: not loaded: the server is stopping", _printable(name))
                raise LoadError("the server is stopping") from error
            except Exception as error:
                raise self._failure(name, error) from error
            model = self._models[name]
            model.error = ""
            replaced = model.ready
            model.ready = {version.version: version for version in loaded}
            model.states = dict.fromkeys(model.ready, (State.READY, ""))
            self._retire(replaced.values())

    def unload(self, name: str) -> None:
        """Take a model out of service, if it is in service; requests that it has accepted are answered."""
        with self._changing:
            model = self._models.get(name)
            if model is None or not model.ready:
                return
            unloaded, model.ready, model.error = model.ready, {}, ""
            model.states = dict.fromkeys(unloaded, (State.UNAVAILABLE, "unloaded"))
            self._retire(unloaded.values())
        logger.info("%s: unloaded", name)

    def close(self, timeout_seconds: float) -> bool:
        """Answer what was accepted and end every version's threads; false if that takes longer."""
        end = time.monotonic() + timeout_seconds
        self._closed = True
        if not self._changing.acquire(timeout=timeout_seconds):
            logger.warning("a model was still loading at the end of the grace period")
            return False
        for model in self._models.values():
            ready, model.ready = model.ready, {}
            self._retire(ready.values())
        self._changing.release()
        late = [version for version in self._retired if not version.wait_closed(max(0.0, end - time.monotonic()))]
        for version in late:
            logger.warning("%s: requests were still running at the end of the grace period", version.config.name)
        return not late

    def _retire(self, versions: Iterable[ModelVersion]) -> None:
        for version in versions:
            self._retired.add(version)
            version.retire()

    def _failure(self, name: str, error: Exception) -> LoadError:
        """What a load fails with, after it has been logged and noted; a caller may read it."""
        if isinstance(error, ConfigError | EngineError | ModelFailed):
            logger.error("%s: not loaded: %s", _printable(name), _printable(error))
            text = str(error).removeprefix(f"{self._directory}/")
        else:
            logger.error("%s: not loaded", _printable(name), exc_info=error)
            text = f"loading it failed: {_reason(error)}"
        self._note_failure(name, text, tried=not isinstance(error, ConfigError))
        return LoadError(text)

    def _note_failure(self, name: str, text: str, *, tried: bool) -> None:
        """Tell in the index why a model is not served; `tried` versions have been told of already."""
        try:
            is_there = name in model_directories.list_all(self._directory)
            available = model_directories.versions(self._directory / name) if is_there else []
        except OSError:
            is_there, available = False, []
        if not is_there and name not in self._models:
            return  # no model, whatever a request calls it
        model = self._models.setdefault(name, _Model())
        model.error = text
        if tried or model.ready:
            return
        numbers = {*model.states, *sorted(available)[-1:]}
        model.states = dict.fromkeys(sorted(numbers), (State.UNAVAILABLE, text))

    def _read_config(self, name: str) -> ModelConfig:
        if name not in model_directories.list_all(self._directory):  # it must not lead out of the directory
            raise ConfigError(f"no directory {name} in the model repository")
        return model_config.read(self._directory / name)

    def _load_versions(self, name: str, config_override: str | None) -> list[ModelVersion]:
        config = self._read_config(name)
        directory = self._directory / name
        if config_override is not None:
            config = model_config.parse_override(config_override, directory)
        if config.ignored:
            logger.warning(
                "%s: config.pbtxt sets what this server does not honour: %s",
                config.name,
                _printable(", ".join(config.ignored)),
            )
        numbers = config.versions_to_serve(model_directories.versions(directory))
        model = self._models.setdefault(name, _Model())
        if not numbers:
            raise ConfigError("no version directory that the version policy allows")
        loaded: list[ModelVersion] = []
        for number in numbers:
            with self._tell_state(model, number):
                loaded.append(self._load(config, number, directory, loaded))
        return loaded

    def _load(self, config: ModelConfig, number: int, directory: Path, loaded: list[ModelVersion]) -> ModelVersion:
        try:
            version = self._load_version(config, number, directory)
        except Exception:
            self._retire(loaded)
            raise
        logger.info(
            "%s version %d: ready after %.1f s, %d instances of %d threads, batches up to %d",
            config.name,
            number,
            version.statistics.load_seconds,
            version.instances,
            version.threads,
            config.max_rows,
        )
        return version

    @contextlib.contextmanager
    def _tell_state(self, model: _Model, number: int) -> Iterator[None]:
        """Tell in the index that a version is loading, or why it did not; not of one that serves meanwhile."""
        if number not in model.ready:
            model.states[number] = (State.LOADING, "")
        try:
            yield
        except Exception as error:
            for tried, (state, _) in list(model.states.items()):
                if state is State.LOADING:  # this one, and those before it, which do not serve without it
                    reason = str(error) if tried == number else f"version {number} did not load"
                    model.states[tried] = (State.UNAVAILABLE, reason)
            raise


def _reason(error: Exception) -> str:
    """What the system says, without the path that it says it of."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _printable(text: object) -> str:
    """`text` for the log: what a request brings must not look like lines of ours, nor fill it."""
    characters = str(text)[:_MOST_CHARACTERS]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in characters)
