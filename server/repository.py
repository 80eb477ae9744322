"""The model repository: how models come and go."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING

from server import model_directories
from server.catalogue import Catalogue
from server.engine import EngineError
from server.ensemble import with_ensembles
from server.ensemble_steps import StepLoader
from server.errors import ModelFailed, ShuttingDown, StartError
from server.load_error import LoadError, printable, system_reason
from server.model_config import ConfigError, ForeignModel
from server.model_states import ModelRecord
from server.version_loading import VersionLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from server.model import ModelVersion
    from server.model_config import ModelConfig

logger = logging.getLogger(__name__)


class ModelRepository(Catalogue):
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
            raise StartError(f"model repository {directory} cannot be read: {system_reason(error)}") from error
        super().__init__(directory)
        self._loader = VersionLoader(directory, with_ensembles(load_version, self.get), self._retire)
        self._steps = StepLoader(self, self.load, lambda name: name not in self.unsettled)
        self.unsettled: frozenset[str] = frozenset()  # models whose files are being copied: no ensemble brings them
        self._changing = threading.RLock()  # one load or unload at a time; an ensemble's loads its steps
        # Those that may still have work. Who holds a lease, or waits for threads to end, keeps them alive: nobody else.
        self._retired: weakref.WeakSet[ModelVersion] = weakref.WeakSet()
        self._closed = False

    def check_configs(self, names: list[str]) -> None:
        """Read the config.pbtxt of each of `names`, and load nothing. Models for other servers may be among them.

        Raises:
            StartError: one of them cannot be used, which is a mistake to mend before anything is served.
        """
        try:
            for name in names:
                with contextlib.suppress(ForeignModel):  # loading it tells
                    self._loader.read_config(name)
        except ConfigError as error:
            raise StartError(printable(error)) from error

    def steps(self, name: str) -> set[str]:
        """The models of an ensemble's steps, by its config.pbtxt as it is now; none for any other model."""
        try:
            return {step.model for step in self._loader.read_config(name).steps}
        except (ConfigError, OSError):
            return set()

    def broken_with_step(self, name: str) -> list[str]:
        """The ensembles with a step of this model that did not load when they were last loaded."""
        broken = sorted(other for other, model in list(self._models.items()) if model.error)
        return [other for other in broken if name in self.steps(other)]

    def expect(self, names: list[str]) -> None:
        """Tell requests for `names`, from now on, that these models are being loaded."""
        for name in names:
            self._models.setdefault(name, ModelRecord()).is_loading = True

    def load_all(self, names: list[str], stopping: Callable[[], bool]) -> None:
        """Load the models `names` until `stopping()`; one that is broken is reported and does not stop the others."""
        self.expect(names)
        for name in names:
            if stopping():
                return
            if self._models[name].loaded or self._models[name].error:
                continue  # it has been tried as a step of an ensemble
            with contextlib.suppress(LoadError, ShuttingDown):  # logged, and told in the index
                self.load(name)

    def load(self, name: str, config_override: str | None = None) -> None:
        """Load or reload a model: warm the new versions, swap, then drain the old ones.

        Nothing is swapped unless every version that the policy asks for is good. Returns when the new ones answer.

        Raises:
            LoadError: it did not load; what served before goes on serving.
            ShuttingDown: nothing is loaded any more.
        """
        with self._changing, self._tell_loading(name):
            if self._closed:
                raise ShuttingDown("the server is stopping")
            try:
                config = self._loader.read_config(name, config_override)
                self.expect([name])  # a name that a request brings is known from here on, when it is one of a model
                self._steps.load(config)
                loaded = self._loader.load(config, self._models[name])
            except ShuttingDown as error:
                logger.info("%s: not loaded: the server is stopping", printable(name), extra={"model": name})
                raise ShuttingDown("the server is stopping") from error
            except Exception as error:
                raise self._failure(name, error) from error
            self._retire(self._models[name].replace(loaded))

    def unload(self, name: str) -> None:
        """Take a model out of service, if it is in service; requests that it has accepted are answered.

        One that did not load is not missed any more.
        """
        with self._changing:
            model = self._models.get(name)
            if model is None or not (model.loaded or model.error):
                return
            self._retire(model.withdraw())
        logger.info("%s: unloaded", name, extra={"model": name})

    def remove(self, name: str) -> None:
        """As `unload`, for a model whose directory is gone: the index does not tell of it any more."""
        self.unload(name)
        with self._changing:
            if model := self._models.get(name):
                model.forget()

    def close(self, timeout_seconds: float) -> bool:
        """Answer what was accepted and end every version's threads; false if that takes longer."""
        end = time.monotonic() + timeout_seconds
        self._closed = True
        if not self._changing.acquire(timeout=timeout_seconds):
            logger.warning("a model was still loading at the end of the grace period")
            return False
        for model in self._models.values():
            loaded, model.loaded = model.loaded, {}
            self._retire(loaded.values())
        self._changing.release()
        late = [version for version in self._retired if not version.wait_closed(max(0.0, end - time.monotonic()))]
        for version in late:
            name = version.config.name
            logger.warning(
                "%s: requests were still running at the end of the grace period", name, extra={"model": name}
            )
        return not late

    def _retire(self, versions: Iterable[ModelVersion]) -> None:
        for version in versions:
            self._retired.add(version)
            version.retire()

    @contextlib.contextmanager
    def _tell_loading(self, name: str) -> Iterator[None]:
        """Tell requests meanwhile that the model is being loaded, if it is known at all."""
        if name in self._models:
            self._models[name].is_loading = True
        try:
            yield
        finally:
            if name in self._models:
                self._models[name].is_loading = False

    def _failure(self, name: str, error: Exception) -> LoadError:
        """What a load fails with, after it has been logged and noted; a caller may read it."""
        if isinstance(error, ConfigError | EngineError | ModelFailed):
            reason = printable(f"{error}{_told_below(error)}")
            logger.error("%s: not loaded: %s", printable(name), reason, extra={"model": name})
            text = str(error).removeprefix(f"{self._directory}/")
        else:
            logger.error("%s: not loaded", printable(name), exc_info=error, extra={"model": name})
            text = f"loading it failed: {system_reason(error)}"
        self._note_failure(name, text, tried=not isinstance(error, ConfigError))
        return LoadError(text)

    def _note_failure(self, name: str, text: str, *, tried: bool) -> None:
        """Tell in the index why a model is not served; `tried` versions have been told of already."""
        try:
            is_there = name in model_directories.list_all(self._directory)
            available = model_directories.versions(self._directory / name) if is_there else []
        except OSError:
            is_there, available = False, []
        if is_there or name in self._models:  # else it is no model, whatever a request calls it
            self._models.setdefault(name, ModelRecord()).fail(text, available, tried=tried)


def _told_below(error: Exception) -> str:
    """What the log tells beyond an error's text: the first line of what it comes from."""
    first = str(error.__cause__ or "").strip().partition("\n")[0]
    return f" ({first})" if first and first not in str(error) else ""
