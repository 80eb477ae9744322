"""An ensemble: models whose tensors flow from one to the next; it runs nothing itself."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

from server import ensemble_fit
from server.errors import UNKNOWN_MODEL, ModelNotFound, ModelNotReady, ModelUnloaded, StepsMismatch
from server.lease import Leased
from server.model_config import ConfigError
from server.model_states import UNLOADED
from server.statistics import ModelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from server.model import ModelVersion
    from server.model_config import ModelConfig


class NoQueue:
    """What an ensemble has in place of a batcher: requests wait in the queues of its steps."""

    waiting = 0
    busy = 0
    busy_seconds = 0.0
    alive = True


class Fit(NamedTuple):
    """What an ensemble has of its steps' models, replaced as one: threads look at it while another one replaces it.

    `checked` are the configurations that were found to fit together, `config` is the ensemble's own with their labels.
    """

    checked: Sequence[ModelConfig]
    config: ModelConfig
    queue_capacity: int


class EnsembleVersion(Leased):
    """A version of an ensemble. It answers while its steps' models do, with whichever versions of them are ready."""

    instances = 0
    threads = 0

    def __init__(self, config: ModelConfig, version: int, find: Callable[[str, int | None], ModelVersion]) -> None:
        """`find` gives a version of a model that is ready, for None the latest.

        Raises:
            ConfigError: the steps do not fit together.
            ModelNotFound, ModelNotReady: a step's model is not there.
        """
        super().__init__()
        started = time.monotonic()
        self.version = version
        self.statistics = ModelStatistics()
        self.batcher = NoQueue()
        self._find = find
        self._own = config
        models = [find(step.model, step.version) for step in config.steps]
        ensemble_fit.check(config, [model.config for model in models])
        self._fit = self._fit_of(models)
        self.load_seconds = time.monotonic() - started

    def go_on_counting(self, statistics: ModelStatistics) -> None:
        """Count where another version did so far; only before the first request."""
        self.statistics = statistics

    def check_steps(self, models: Sequence[ModelVersion]) -> None:
        """Check that `models`, one for each step, still fit: they may have been loaded again since.

        Raises:
            StepsMismatch: they do not.
        """
        configs = [model.config for model in models]
        if all(config is checked for config, checked in zip(configs, self._fit.checked, strict=True)):
            return
        try:
            ensemble_fit.check(self._own, configs)
        except ConfigError as error:
            raise StepsMismatch(str(error)) from error
        self._fit = self._fit_of(models)

    def _fit_of(self, models: Sequence[ModelVersion]) -> Fit:
        return Fit(
            checked=[model.config for model in models],
            config=replace(self._own, labels=dict(_labels(self._own, models))),
            queue_capacity=min(model.queue_capacity for model in models),
        )

    @property
    def config(self) -> ModelConfig:
        """The configuration, with the labels of the steps that serve now."""
        return self._fit.config

    @property
    def queue_capacity(self) -> int:
        """How many requests may wait for the step that lets the fewest wait."""
        return self._fit.queue_capacity

    @property
    def lack(self) -> str:
        """Why it does not answer: a step has no model that does, or one that fits no more; empty where it answers."""
        try:
            self.check_steps([self._find(step.model, step.version) for step in self._own.steps])
        except (ModelNotFound, ModelUnloaded):
            return UNLOADED
        except ModelNotReady as error:
            return str(error).removeprefix(UNKNOWN_MODEL)
        return ""


def with_ensembles(
    load_version: Callable[[ModelConfig, int, Path], ModelVersion], find: Callable[[str, int | None], ModelVersion]
) -> Callable[[ModelConfig, int, Path], ModelVersion]:
    """Let `load_version` load ensembles, too, of models that `find` finds."""

    def load(config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        if not config.steps:
            return load_version(config, version, directory)
        # It has all that others see of a version; what asks for an answer looks which of the two it has.
        return cast("ModelVersion", EnsembleVersion(config, version, find))

    return load


def _labels(config: ModelConfig, models: Sequence[ModelVersion]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The labels of each output; where the ensemble names none, those of the model that it comes from."""
    from_steps = {
        tensor: model.config.labels[name]
        for step, model in zip(config.steps, models, strict=True)
        for name, tensor in step.outputs.items()
    }
    for spec in config.outputs:
        yield spec.name, config.labels[spec.name] or from_steps.get(spec.name, ())
