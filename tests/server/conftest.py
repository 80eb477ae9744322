"""Fixtures for the server's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from server import batching
from server.batching import Batcher
from server.request_queue import BatchingPolicy
from tests.server.models import open_repository
from tests.server.workshop import HANGING_SECONDS, Bench, Clock, Workshop, WorkshopInstance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.repository import ModelRepository


class OpenBench(Protocol):
    """Starts a batcher."""

    def __call__(
        self,
        instances: int = 1,
        max_rows: int = 8,
        *,
        seconds: Callable[[int], float] = ...,
        observe: Callable[[int], None] | None = None,
        **policy: object,
    ) -> Bench:
        """`seconds(rows)` is what a batch costs; `policy` are fields of `BatchingPolicy`."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The batcher's clock, which only the test moves."""
    clock = Clock()
    monkeypatch.setattr(batching, "time", clock)
    return clock


@pytest.fixture
def open_bench(clock: Clock) -> Iterator[OpenBench]:
    """Starts batchers, and ends them with the test."""
    benches: list[Bench] = []

    def open_bench(
        instances: int = 1,
        max_rows: int = 8,
        *,
        seconds: Callable[[int], float] = lambda _rows: 1.0,
        observe: Callable[[int], None] | None = None,
        **policy: object,
    ) -> Bench:
        workshop, observed = Workshop(clock, seconds), list[int]()
        batcher = Batcher(
            "model",
            [WorkshopInstance(workshop, number) for number in range(instances)],
            BatchingPolicy(max_rows, **policy),
            lambda rows, _execution: (observe or observed.append)(rows),
        )
        benches.append(Bench(batcher, workshop, clock, observed))
        batcher.start()
        clock.settle()
        return benches[-1]

    yield open_bench
    for bench in benches:
        bench.workshop.run_alone()
        bench.batcher.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty model repository."""
    path = tmp_path / "repository"
    path.mkdir()
    return path


@pytest.fixture
def repository(directory: Path) -> Iterator[ModelRepository]:
    """The repository, which must end in time."""
    repository = open_repository(directory)
    yield repository
    assert repository.close(HANGING_SECONDS)
