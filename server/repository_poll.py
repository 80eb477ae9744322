"""Poll control: what changes in the model repository's directory is loaded, reloaded or unloaded."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from server import model_directories
from server.errors import ShuttingDown
from server.load_error import LoadError, system_reason
from server.log_sampling import TroubleLog

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_directories import Contents
    from server.repository import ModelRepository

logger = logging.getLogger(__name__)


class RepositoryPoll:
    """Keeps a repository as its directory is: one look after the other, in one thread.

    A model is loaded again when something below its directory has changed since it was last loaded, or tried, and has
    then stayed as it is from one look to the next: what is still being copied is left alone. So a model that does not
    load is reported once, and tried again when it changes. An ensemble comes after its steps; one that did not load is
    tried again, too, when the model of a step has been loaded.
    """

    def __init__(self, repository: ModelRepository, directory: Path) -> None:
        """Take all that is there now for loaded.

        Raises:
            OSError: the directory cannot be read.
        """
        self._repository = repository
        self._directory = directory
        self._seen = model_directories.contents(directory, {})
        self._loaded = dict(self._seen)
        self._left_alone: set[str] = set()  # what this look has tried, or will in its turn, or must not touch
        self._trouble = TroubleLog(logger)

    def look(self) -> None:
        """Do what the directory asks for, as far as it has settled; blocks as loading does.

        A directory that cannot be read changes nothing: what serves goes on serving.
        """
        try:
            seen = model_directories.contents(self._directory, self._seen)
        except OSError as error:
            self._trouble.tell(f"model repository {self._directory} cannot be read: {system_reason(error)}")
            return
        self._trouble.tell("")
        unsettled = {name for name in {*seen, *self._loaded} if seen.get(name) != self._seen.get(name)}
        changed = {name for name in {*seen, *self._loaded} - unsettled if seen.get(name) != self._loaded.get(name)}
        self._seen = seen
        self._repository.unsettled = frozenset(unsettled)
        self._left_alone = unsettled | changed
        for name in sorted(changed, key=lambda name: (bool(self._repository.steps(name)), name)):
            self._follow(name, seen.get(name))

    def _follow(self, name: str, contents: Contents | None) -> None:
        if contents is None:
            del self._loaded[name]
            self._repository.remove(name)
            return
        self._loaded[name] = contents
        self._load(name)

    def _load(self, name: str) -> None:
        """Load a model, and what did not load without it; what does not load is logged and told in the index."""
        with contextlib.suppress(LoadError, ShuttingDown):
            self._repository.load(name)
            for ensemble in self._repository.broken_with_step(name):
                if ensemble not in self._left_alone:
                    self._left_alone.add(ensemble)
                    self._load(ensemble)
