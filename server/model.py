"""One version of a model, from its files to its last request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from server.batching import Batcher
from server.engine import EngineError, TorchScriptInstance, TorchScriptModel
from server.errors import ModelFailed, ShuttingDown
from server.lease import Leased
from server.model_config import PYTHON
from server.model_warmup import WarmUpError, read_samples
from server.python_backend.instance import PythonInstance
from server.request_queue import BatchingPolicy
from server.statistics import ModelStatistics
from server.warm_up import SampleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from server.instance import Instance
    from server.model_config import ModelConfig


class ModelVersion(Leased):
    """A model version that is loaded, warm and answering.

    Whoever works with it holds a lease (`ModelRepository.lease`), so that a version that is replaced or unloaded ends
    only after its last request has been answered.
    """

    lack = ""  # whatever it needs to answer is its own

    def __init__(
        self,
        config: ModelConfig,
        version: int,
        directory: Path,
        cores: int,
        queue_capacity: int,
        is_given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Load and warm up; takes seconds, unless `is_given_up()` says meanwhile that nobody wants it any more.

        Raises:
            EngineError, ModelFailed: the file is no module that fits `config`.
            WarmUpError: a sample of `config` cannot be run, or fails.
            ShuttingDown: it was given up.
        """
        super().__init__()
        started = time.monotonic()
        self.config = config
        self.version = version
        self.statistics = ModelStatistics()
        self.queue_capacity = config.queue.capacity or queue_capacity
        self.instances = config.instances or cores
        self.threads = config.threads or max(1, cores // self.instances)
        self.batcher = self._start(directory / str(version) / config.model_file, is_given_up)
        self.load_seconds = time.monotonic() - started

    def _start(self, path: Path, is_given_up: Callable[[], bool]) -> Batcher[Any, Any]:
        config = self.config
        policy = BatchingPolicy(
            max_rows=config.max_rows,
            merge=config.dynamic,
            queue_capacity=self.queue_capacity,
            max_queue_delay_seconds=config.queue.max_delay_seconds,
        )
        instances = self._new_instances(path)
        samples = read_samples(config, path.parent.parent)
        batcher = Batcher[Any, Any](config.name, instances, policy, self.statistics.executed, samples)
        try:
            batcher.start(is_given_up)
        except Exception as error:
            if isinstance(error, SampleError):
                raise WarmUpError(error.sample.index, f"{error}: {_last_line(error.__cause__)}") from error
            if isinstance(error, EngineError | ModelFailed | ShuttingDown):
                raise
            raise EngineError(f"the module fails on a batch of zeros: {_last_line(error)}") from error
        return batcher

    def go_on_counting(self, statistics: ModelStatistics) -> None:
        """Count where another version did so far; only before the first request."""
        self.statistics = statistics
        self.batcher.observe_batch = statistics.executed

    def _new_instances(self, path: Path) -> Sequence[Instance[Any, Any]]:
        if self.config.backend == PYTHON:
            return [PythonInstance(path, self.config, self.version, number) for number in range(self.instances)]
        model = TorchScriptModel(path, self.config)
        return [TorchScriptInstance(model, self.threads) for _ in range(self.instances)]

    def _close(self) -> None:
        """Wait for the instances in a thread: who gives back the last lease may be the event loop."""
        threading.Thread(target=self._join, name=f"{self.config.name}-close").start()

    def _join(self) -> None:
        self.batcher.close()
        self._closed.set()


def _last_line(error: BaseException | None) -> str:
    """What TorchScript says at last, behind its trace."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
