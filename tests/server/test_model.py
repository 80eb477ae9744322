from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import Tensor, nn

from server import model_config
from server.engine import EngineError, TorchScriptInstance
from server.errors import ModelFailed
from server.model import ModelVersion
from tests.server.models import ROW, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server.conftest import OpenBench

_PAYLOAD = (np.zeros((1, 2), np.int64).tobytes(),)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., ModelVersion]]:
    """Loads a model version, and ends it with the test."""
    versions = []

    def load(
        module: nn.Module | bytes = Constant(7),  # noqa: B008 - it is never changed
        config: str = ROW,
        *,
        cores: int = 1,
        queue_capacity: int = 1024,
    ) -> ModelVersion:
        write_model(tmp_path / "net", module, config)
        read = model_config.read(tmp_path / "net")
        versions.append(ModelVersion(read, 1, tmp_path / "net", cores, queue_capacity))
        return versions[-1]

    yield load
    for version in versions:
        if not version.wait_closed(0):
            version.retire()
            assert version.wait_closed(HANGING_SECONDS)


def _ask(version: ModelVersion) -> int:
    reply = version.batcher.submit(_PAYLOAD, 1).result(HANGING_SECONDS)
    return int(reply.result[0].item())


def test_a_version_answers_when_it_is_there(load: Callable[..., ModelVersion]) -> None:
    """Loading returns a model that is warm and computes, and knows how long that took."""
    version = load()
    assert _ask(version) == 7
    assert version.load_seconds > 0
    assert version.statistics.execution_count == 1  # warm-up is nobody's request


@pytest.mark.parametrize(
    ("cores", "count", "parameter", "instances", "threads"),
    [
        (1, 0, 0, 1, 1),
        (3, 0, 0, 3, 1),  # as many instances as cores
        (4, 2, 0, 2, 2),  # which share the cores
        (4, 3, 0, 3, 1),
        (2, 3, 0, 3, 1),
        (4, 1, 2, 1, 2),  # unless the file says how many threads
        (4, 0, 2, 4, 2),
    ],
)
def test_instances_share_the_cores(
    load: Callable[..., ModelVersion], cores: int, count: int, parameter: int, instances: int, threads: int
) -> None:
    """What config.pbtxt does not say is decided by the cores that the process may use."""
    config = ROW.replace("instance_group [ { count: 1 } ]", f"instance_group [ {{ count: {count} }} ]" if count else "")
    if parameter:
        config += f'parameters [ {{ key: "INTRA_OP_THREAD_COUNT" value: {{ string_value: "{parameter}" }} }} ]'
    version = load(config=config, cores=cores)
    assert (version.instances, version.threads) == (instances, threads)


def test_the_file_decides_about_the_queue(load: Callable[..., ModelVersion]) -> None:
    """The server's own capacity counts only where config.pbtxt has none."""
    assert load(queue_capacity=5).queue_capacity == 5
    config = ROW.replace("{ }", "{ default_queue_policy { max_queue_size: 3 } }")
    assert load(config=config, queue_capacity=5).queue_capacity == 3


class Raises(nn.Module):
    """Fails whatever it gets."""

    def forward(self, rows: Tensor) -> Tensor:
        """Fail."""
        if rows.shape[0] >= 0:
            raise ValueError("no luck")
        return rows


@pytest.mark.parametrize(
    ("module", "config", "error", "text"),
    [
        (b"no module", ROW, EngineError, "model.pt is no TorchScript module"),
        (Raises(), ROW, EngineError, "the module fails on a batch of zeros: .*no luck"),
        (Constant(7), ROW.replace("[ 1 ]", "[ 2 ]"), ModelFailed, r"shape \[1, 1\], expected \[1, 2\]"),
        (Constant(7), ROW.replace("[ 2 ]", f"[ 2, {1 << 62} ]"), EngineError, "the module fails on a batch of zeros"),
    ],
)
def test_a_version_that_cannot_be_served_is_an_error(
    load: Callable[..., ModelVersion], module: Any, config: str, error: type[Exception], text: str
) -> None:
    """What does not load, or does not run, is told in one line, and no thread is left."""
    before = threading.active_count()
    with pytest.raises(error, match=text) as raised:
        load(module, config)
    assert "\n" not in str(raised.value)
    assert threading.active_count() == before


def test_an_error_without_words_is_told_by_its_name(
    load: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of memory has no message of its own."""

    def open_without_memory(_instance: TorchScriptInstance) -> None:
        raise MemoryError

    monkeypatch.setattr(TorchScriptInstance, "open", open_without_memory)
    with pytest.raises(EngineError, match="the module fails on a batch of zeros: MemoryError"):
        load()


def test_a_version_that_nobody_uses_ends_at_once(load: Callable[..., ModelVersion]) -> None:
    """Retiring ends the threads, and gives no lease any more."""
    version = load()
    assert version.acquire()
    version.release()
    assert not version.wait_closed(0)
    version.retire()
    assert version.wait_closed(HANGING_SECONDS)
    assert not version.batcher.alive
    assert not version.acquire()


def test_a_lease_keeps_a_retired_version_alive(load: Callable[..., ModelVersion]) -> None:
    """Whoever has a lease is answered; the last one to give it back ends the version."""
    version = load()
    assert version.acquire()
    assert version.acquire()
    version.retire()
    version.release()
    assert not version.acquire()
    assert _ask(version) == 7
    assert not version.wait_closed(0)
    version.release()
    assert version.wait_closed(HANGING_SECONDS)


def test_giving_back_the_last_lease_does_not_wait(load: Callable[..., ModelVersion], open_bench: OpenBench) -> None:
    """The event loop gives leases back, and must not stand still while a batch that nobody wants is computed."""
    version, bench = load(), open_bench()
    version.batcher.close()
    real: Any = bench.batcher
    version.batcher = real
    assert version.acquire()
    [busy] = bench.occupy()
    version.retire()
    version.release()  # which would hang here
    assert not version.wait_closed(0)
    busy.finish()
    assert version.wait_closed(HANGING_SECONDS)


def test_leases_of_many_threads_are_all_counted(load: Callable[..., ModelVersion]) -> None:
    """However leases and the retirement race, nobody who has a lease is left without a model."""
    version, start = load(), threading.Barrier(5)
    broken: list[object] = []

    def use() -> None:
        start.wait()
        while version.acquire():
            try:
                if not version.batcher.alive:
                    broken.append(version)
            finally:
                version.release()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    version.retire()
    for thread in threads:
        thread.join()
    assert version.wait_closed(HANGING_SECONDS)
    assert broken == []
