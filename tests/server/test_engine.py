"""Instances of a TorchScript module, running."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from server.engine import TorchScriptInstance
from tests.server.torchscript_engine import (
    ONE,
    OUT,
    Identity,
    Weighted,
    make_instance,
    make_model,
    payload,
    run,
    tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Keeping(nn.Module):
    """Gives its answers in memory that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("answer", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """The input, in the buffer."""
        return self.answer.copy_(x)


class FirstColumn(nn.Module):
    """Gives back a part of the memory that it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """A view of the input."""
        return x[:, :1]


class Transpose(nn.Module):
    """An output that is not contiguous, in memory of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """The input with rows and columns exchanged, doubled."""
        return (x * 2).transpose(1, 2)


class Picky(nn.Module):
    """Raises for some inputs."""

    def forward(self, x: Tensor) -> Tensor:
        """The input plus one, if it is not negative."""
        if bool((x < 0).any()):
            raise ValueError("negative")
        return x + 1


def test_rows_of_a_batch_belong_to_their_requests(tmp_path: Path) -> None:
    """Requests of several rows are laid one after the other, and each gets its rows back."""
    instance = make_instance(tmp_path, Weighted(), "max_batch_size: 6\n" + ONE)
    arrays = [np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) + 10 * rows for rows in (1, 3, 2)]
    results = run(instance, *map(payload, arrays), rows=[1, 3, 2])
    for array, (result,) in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(result, array * 3)


def test_a_small_batch_sees_nothing_of_the_large_one_before(tmp_path: Path) -> None:
    """The module gets exactly the rows of its batch."""
    instance = make_instance(tmp_path, Weighted(), "max_batch_size: 4\n" + ONE)
    run(instance, payload(np.full((4, 2), 7, np.float32)), rows=[4])
    [(result,)] = run(instance, payload(np.float32([[1, 2]])))
    assert result.tolist() == [[3, 6]]


@pytest.mark.parametrize(
    ("module", "config", "expected"),
    [
        (Identity(), "max_batch_size: 2\n" + ONE, [[1, 2]]),
        (Identity(), ONE, [1, 2]),
        (FirstColumn(), "max_batch_size: 2\n" + tensors("input", ("x", "FP32", [2])) + OUT, [[1]]),
        (Keeping(), ONE, [1, 2]),
    ],
)
def test_the_next_batch_does_not_overwrite_an_answer(
    tmp_path: Path, module: nn.Module, config: str, expected: list[Any]
) -> None:
    """A module may give back its own input, which the instance uses again, or a buffer that it writes to again."""
    instance = make_instance(tmp_path, module, config)
    [(first,)] = run(instance, payload(np.float32([1, 2])))
    run(instance, payload(np.float32([8, 9])))
    assert first.tolist() == expected


def test_outputs_are_row_major(tmp_path: Path) -> None:
    """An output whose memory has another order arrives in the protocol's."""
    config = tensors("input", ("x", "FP32", [2, 3])) + tensors("output", ("y", "FP32", [3, 2]))
    instance = make_instance(tmp_path, Transpose(), "max_batch_size: 2\n" + config)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    [(result,)] = run(instance, payload(array))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result[0], array.T * 2)


def test_views_of_a_message_are_taken(tmp_path: Path) -> None:
    """A payload may be a part of a larger, read-only buffer."""
    message = b"header" + payload(np.float32([1, 2]))[0] + b"trailer"
    instance = make_instance(tmp_path, Weighted(), "max_batch_size: 2\n" + ONE)
    [(result,)] = run(instance, (memoryview(message)[6:14],))
    assert result.tolist() == [[3, 6]]


def test_instances_share_nothing_that_a_batch_writes(tmp_path: Path) -> None:
    """Two instances of one module that run at the same time do not see each other's inputs."""
    model = make_model(tmp_path, Weighted(), "max_batch_size: 1\n" + ONE)
    instances = [TorchScriptInstance(model, 1) for _ in range(4)]

    def work(number: int) -> list[NDArray[Any]]:
        instances[number].open()
        return [run(instances[number], payload(np.full(2, number, np.float32)))[0][0] for _ in range(50)]

    with ThreadPoolExecutor(len(instances)) as threads:
        for number, results in enumerate(threads.map(work, range(4))):
            np.testing.assert_array_equal(np.concatenate(results), np.full((50, 2), 3 * number))


def test_an_instance_binds_its_threads_share_of_the_cores(tmp_path: Path) -> None:
    """The number of cores for one operation is set in the thread that will run the batches."""
    model = make_model(tmp_path, Weighted(), ONE)

    def threads_after_open(threads: int) -> int:
        TorchScriptInstance(model, threads).open()
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(threads_after_open, 1).result() == 1


def test_what_the_module_raises_comes_out(tmp_path: Path) -> None:
    """An instance survives a module that raises, and the next batch is right."""
    instance = make_instance(tmp_path, Picky(), "max_batch_size: 2\n" + ONE)
    with pytest.raises(torch.jit.Error, match="negative"):
        run(instance, payload(np.float32([-1, 1])))
    [(result,)] = run(instance, payload(np.float32([1, 2])))
    assert result.tolist() == [[2, 3]]


def test_times_are_in_order(tmp_path: Path) -> None:
    """An execution tells when its three parts ended."""
    times = make_instance(tmp_path, Weighted(), ONE).run([payload(np.float32([1, 2]))], [1])
    instants = [times.started_ns, times.input_ready_ns, times.computed_ns, times.finished_ns]
    assert instants == sorted(instants)
