"""The models of a repository as requests find them: which answer, which do not and why."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from server import model_directories
from server.errors import UNKNOWN_MODEL, ModelNotFound, ModelNotReady, ModelUnloaded
from server.load_error import system_reason
from server.log_sampling import TroubleLog
from server.model_states import ENDED, UNLOADED, IndexEntry, ModelRecord, Readiness, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from server.model import ModelVersion

logger = logging.getLogger(__name__)


class Catalogue:
    """What is known of the models below one directory. Looking up does not block. Safe from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._models: dict[str, ModelRecord] = {}
        self._passed_over: set[str] = set()
        self._trouble = TroubleLog(logger)

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """The version of a model that answers requests; `None` is the latest that is ready.

        Raises:
            ModelNotFound, ModelNotReady: with Triton's texts.
        """
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"{UNKNOWN_MODEL}'{name}' is not found")
        lacks = model.lacks()
        complete = {number: each for number, each in model.loaded.items() if number not in lacks}
        if version is None:
            if not complete:
                raise _none_available(name, lacks, is_loading=model.is_loading)
            version = max(complete)
        if version not in complete:
            if version in model.states:
                text = f"'{name}' version {version} is not at ready state"
                raise _not_ready(text, lacks.get(version, ""), is_loading=model.is_loading)
            raise ModelNotFound(f"{UNKNOWN_MODEL}'{name}' version {version} is not found")
        if not complete[version].batcher.alive:
            raise ModelNotReady(f"{UNKNOWN_MODEL}'{name}' version {version} is not ready: {ENDED}")
        return complete[version]

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
        return [version for version in self.complete() if version.batcher.alive]

    def loading(self) -> list[str]:
        """The models that are being loaded, or wait for their turn."""
        return sorted(name for name, model in list(self._models.items()) if model.is_loading)

    def ended(self) -> list[str]:
        """The models that are loaded, but have lost an instance: they serve nothing until they are loaded again."""
        return sorted({version.config.name for version in self.complete() if not version.batcher.alive})

    def complete(self) -> list[ModelVersion]:
        """Every version that is loaded and lacks nothing, by name and version; some may have lost an instance."""
        models = sorted(self._models.items())
        return [version for _, model in models for _, version in sorted(model.complete.items())]

    def failed(self) -> list[str]:
        """The models that did not load and have nothing else that serves; one that was unloaded has not failed."""
        return sorted(name for name, model in list(self._models.items()) if model.error and not model.loaded)

    def readiness(self) -> list[Readiness]:
        """Of every model that answers, or should, which versions do, and how its loads went."""
        models = sorted(self._models.items())
        return [Readiness(name, model.answers(), model.loads) for name, model in models if model.is_wanted]

    def index(self, *, looks: bool = True) -> list[IndexEntry]:
        """Every model of the directory, and every version that was tried, by name and version.

        Only if it `looks` at the directory, which may block, it tells of models that nobody has asked for.
        """
        models = dict(self._models)
        entries = []
        told = [name for name, model in models.items() if model.is_told_of or model.is_loading]
        for name in sorted({*(self._names_if_any() if looks else ()), *told}):
            model = models.get(name) or ModelRecord()
            states = model.current_states()
            entries += [IndexEntry(name, version, *states[version]) for version in sorted(states)]
            if not states:
                entries.append(IndexEntry(name, 0, State.UNAVAILABLE, model.error))
        return entries

    def _names_if_any(self) -> list[str]:
        try:
            names = self.names()
        except OSError as error:
            # Once: somebody looks every second.
            self._trouble.tell(f"model repository {self._directory}: {system_reason(error)}")
            return []
        self._trouble.tell("")
        return names

    def names(self) -> list[str]:
        """The directories that hold a model each.

        Raises:
            OSError: the repository cannot be read any more.
        """
        return model_directories.models(self._directory, self._pass_over)

    def _pass_over(self, name: str, error: OSError) -> None:
        if name not in self._passed_over:  # it is lost+found, or a mistake of which one line is enough
            logger.info("%s: passed over: %s", self._directory / name, error.strerror)
        self._passed_over.add(name)


def _none_available(name: str, lacks: Mapping[int, str], *, is_loading: bool) -> ModelNotFound | ModelNotReady:
    """Why no version answers; Triton calls a model that is loading not found, which invites nobody to come again."""
    text = f"'{name}' has no available versions"
    if is_loading:
        return ModelNotReady(f"{UNKNOWN_MODEL}{text}: it is being loaded")
    if repairable := [lack for lack in lacks.values() if lack != UNLOADED]:
        return _not_ready(text, repairable[0], is_loading=False)
    return ModelNotFound(f"{UNKNOWN_MODEL}{text}")


def _not_ready(text: str, lack: str, *, is_loading: bool) -> ModelNotReady:
    """What a request hears of a version that is known and does not answer; `lack` is why, if it is an ensemble."""
    if lack in ("", UNLOADED):
        return (ModelNotReady if is_loading else ModelUnloaded)(f"{UNKNOWN_MODEL}{text}")
    return ModelNotReady(f"{UNKNOWN_MODEL}{text}: {lack}")
