"""One version of a model, from its files to its last request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from server.batching import Batcher
from server.engine import EngineError, Payload, Result, TorchScriptInstance, TorchScriptModel
from server.errors import ModelFailed, ShuttingDown
from server.request_queue import BatchingPolicy
from server.statistics import ModelStatistics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.model_config import ModelConfig


class ModelVersion:
    """A model version that is loaded, warm and answering.

    Whoever works with it holds a lease (`ModelRepository.lease`), so that a version that is replaced or unloaded ends
    only after its last request has been answered.
    """

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
            ShuttingDown: it was given up.
        """
        started = time.monotonic()
        self.config = config
        self.version = version
        self.statistics = ModelStatistics()
        self._lock = threading.Lock()
        self._leases = 0
        self._retired = False
        self._closed = threading.Event()
        self.queue_capacity = config.queue.capacity or queue_capacity
        self.instances = config.instances or cores
        self.threads = config.threads or max(1, cores // self.instances)
        self.batcher = self._start(directory / str(version) / config.model_file, is_given_up)
        self.statistics.load_seconds = time.monotonic() - started

    def _start(self, path: Path, is_given_up: Callable[[], bool]) -> Batcher[Payload, Result]:
        config = self.config
        model = TorchScriptModel(path, config)
        policy = BatchingPolicy(
            max_rows=config.max_rows,
            merge=config.dynamic,
            queue_capacity=self.queue_capacity,
            max_queue_delay_seconds=config.queue.max_delay_seconds,
        )
        instances = [TorchScriptInstance(model, self.threads) for _ in range(self.instances)]
        batcher = Batcher[Payload, Result](config.name, instances, policy, self.statistics.executed)
        try:
            batcher.start(is_given_up)
        except (ModelFailed, ShuttingDown):
            raise
        except Exception as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"the module fails on a batch of zeros: {reason[-1]}") from error
        return batcher

    def acquire(self) -> bool:
        """Take a lease; false when the version is retired and another one must be looked up."""
        with self._lock:
            self._leases += not self._retired
            return not self._retired

    def release(self) -> None:
        """Give a lease back; the last one ends a retired version."""
        with self._lock:
            self._leases -= 1
            last = self._retired and self._leases == 0
        if last:
            self._close()

    def retire(self) -> None:
        """Let the version end once nobody holds a lease; no new request may reach it any more."""
        with self._lock:
            self._retired = True
            unused = self._leases == 0
        if unused:
            self._close()

    def wait_closed(self, timeout_seconds: float | None = None) -> bool:
        """Wait until a retired version has answered everything and its threads have ended."""
        return self._closed.wait(timeout_seconds)

    def _close(self) -> None:
        """Wait for the instances in a thread: who gives back the last lease may be the event loop."""
        threading.Thread(target=self._join, name=f"{self.config.name}-close").start()

    def _join(self) -> None:
        self.batcher.close()
        self._closed.set()
