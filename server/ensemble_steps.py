"""The models of an ensemble's steps, loaded with it. Texts are Triton's."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from server.errors import ModelNotFound, ModelNotReady
from server.load_error import LoadError
from server.model_config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.catalogue import Catalogue
    from server.ensemble_config import Step
    from server.model_config import ModelConfig


class StepLoader:
    """Loads what an ensemble needs and nobody has loaded yet.

    `load` may come back here, for ensembles of ensembles. `may_load` says whether a model's files are whole.
    """

    def __init__(self, catalogue: Catalogue, load: Callable[[str], None], may_load: Callable[[str], bool]) -> None:
        self._catalogue = catalogue
        self._load = load
        self._may_load = may_load
        self._under_way: list[str] = []

    def load(self, config: ModelConfig) -> None:
        """Let the model of each step of an ensemble be ready; nothing is to be done for other models.

        Raises:
            ConfigError: one of them is not there, did not load, or needs this one.
        """
        self._under_way.append(config.name)
        try:
            for step in sorted(config.steps, key=attrgetter("model")):
                if step.model in self._under_way:
                    circle = " -> ".join([*self._under_way[self._under_way.index(step.model) :], step.model])
                    raise ConfigError(f"circular dependency between ensembles: {circle}")
                self._load_step(config.name, step)
                self._refuse_way_back(self._under_way, step)
        finally:
            self._under_way.pop()

    def _load_step(self, ensemble: str, step: Step) -> None:
        if not self._is_ready(step.model, None):
            if step.model not in self._catalogue.names():
                raise ConfigError(
                    f"ensemble {ensemble} contains models that are not available or ambiguous: {step.model}"
                )
            if not self._may_load(step.model):
                raise ConfigError(f"ensemble '{ensemble}' depends on '{step.model}', which is still being copied")
            try:
                self._load(step.model)
            except LoadError as error:
                raise ConfigError(
                    f"ensemble '{ensemble}' depends on '{step.model}' which has no loaded version. Model"
                    f" '{step.model}' loading failed with error: {error}"
                ) from error
        if not self._is_ready(step.model, step.version):
            version = f"whose required version {step.version} is not loaded."
            raise ConfigError(f"ensemble '{ensemble}' depends on '{step.model}' {version}")

    def _refuse_way_back(self, path: Sequence[str], step: Step) -> None:
        """Refuse a step that needs an ensemble on the way to it: one that is loaded may get steps that it had not."""
        for further in self._catalogue.get(step.model, step.version).config.steps:
            way = [*path, step.model]
            if further.model in way:
                circle = " -> ".join([*way[way.index(further.model) :], further.model])
                raise ConfigError(f"circular dependency between ensembles: {circle}")
            self._refuse_way_back(way, further)

    def _is_ready(self, name: str, version: int | None) -> bool:
        try:
            self._catalogue.get(name, version)
        except (ModelNotFound, ModelNotReady):
            return False
        return True
