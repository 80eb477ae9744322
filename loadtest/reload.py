"""Loads a model again and again while it is under load."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtest.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.target import Target

_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 120.0


class Reloads:
    """How often the model was loaded, and how long each took."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._failures: list[str] = []

    def load(self, stub: Any, model: str) -> None:
        """Ask the server to load `model`, and wait until it has."""
        start = time.perf_counter()
        try:
            stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(model_name=model), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            self._failures.append(f"{error.code().name}: {error.details()}")
        else:
            self._seconds.append(time.perf_counter() - start)

    def findings(self) -> dict[str, Any]:
        """Numbers for the summary, and what the server missed."""
        return {
            "reloads": len(self._seconds),
            "reload_seconds_max": max(self._seconds, default=None),
            "reload_failures": self._failures,
            "misses": self._misses(),
        }

    def _misses(self) -> list[str]:
        if not self._failures:
            return []
        tries = len(self._seconds) + len(self._failures)
        return [f"{len(self._failures)} of {tries} reloads failed, the first with {self._failures[0]}"]

    def check(self) -> None:
        """Raise TargetError when the server does not load models on request."""
        if self._failures:
            raise TargetError(f"the server does not load models on request: {self._failures[0]}")


@contextlib.contextmanager
def reloading(target: Target) -> Iterator[Reloads]:
    """While this lasts, the target's first model is loaded again and again, with a pause of two seconds.

    Raises:
        TargetError: The server does not do that, as it is not in explicit mode.
    """
    reloads, stop, model = Reloads(), threading.Event(), target.models[0].model
    with target.address.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        reloads.load(stub, model)
        reloads.check()

        def repeat() -> None:
            while not stop.wait(_PAUSE_SECONDS):
                reloads.load(stub, model)

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield reloads
        finally:
            stop.set()
            thread.join()
