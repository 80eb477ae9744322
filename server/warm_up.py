"""What an instance runs before it serves: batches of zeros of many sizes, then the samples of config.pbtxt.

TorchScript optimises a module in its first runs, and libraries prepare themselves for each shape. How long a batch of
each size takes is measured by the way. All of this would grow with the square of the largest size: so beyond a few
rows, two sizes to an octave are measured, and what lies between is interpolated.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.cost import CostModel
    from server.instance import Instance
    from server.model_warmup import Sample

# Every size up to this one is measured.
_EACH = 8
# Sizes that batches will have are run at least once, up to this one: a first run of more rows costs little beside them.
_MOST_FAMILIAR = 32
# A size is run once to be prepared, then so often, or for so long, to be measured.
_RUNS = 2
_ENOUGH_SECONDS = 0.1


class SampleError(Exception):
    """The model fails on a sample of config.pbtxt; `__cause__` tells how."""

    def __init__(self, sample: Sample) -> None:
        super().__init__(f"failed to run warmup sample '{sample.name}'")
        self.sample = sample


def measured_sizes(max_rows: int) -> list[int]:
    """The batch sizes that are measured, ascending: 1 to 8, 12, 16, 24, 32, ..., and `max_rows`."""
    octaves = {factor << shift for factor in (2, 3) for shift in range(max_rows.bit_length())}
    return [rows for rows in range(1, max_rows + 1) if rows <= _EACH or rows in octaves or rows == max_rows]


class WarmUp:
    """The warm-up of one model version, run on each of its instances, in their threads.

    `cost` learns what batches take. `run_timed` runs something and returns the seconds that it took, by the batcher's
    clock.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        cost: CostModel,
        run_timed: Callable[[Callable[[], object]], float],
    ) -> None:
        self._samples = samples
        self._cost = cost
        self._learning = threading.Lock()
        self._run_timed = run_timed

    def run(self, instance: Instance[Any, Any], go_on: Callable[[], None]) -> None:
        """Warm up an instance that is open; `go_on` is asked before each run, and raises when nobody wants the model.

        Raises:
            SampleError: the model fails on a sample.
            Exception: whatever it raises on zeros, or `go_on` raises.
        """
        measured = measured_sizes(self._cost.max_rows)
        for rows in measured:
            self._measure(instance, rows, go_on)
        with self._learning:
            cheapest = self._cost.cheapest_rows
        for rows in range(1, min(cheapest, _MOST_FAMILIAR) + 1):
            if rows not in measured:
                go_on()
                instance.warm_up(rows)
        for sample in self._samples:
            for _ in range(sample.count):
                go_on()
                _run_sample(instance, sample)

    def _measure(self, instance: Instance[Any, Any], rows: int, go_on: Callable[[], None]) -> None:
        go_on()
        if not instance.warm_up(rows):  # it pays for what the others do not
            return  # what fails is soon done: nothing is learned from it
        spent = 0.0
        for _ in range(_RUNS):
            go_on()
            seconds = self._run_timed(lambda: instance.warm_up(rows))
            with self._learning:  # with the other instances
                self._cost.learn(rows, seconds)
            spent += seconds
            if spent >= _ENOUGH_SECONDS:
                break


def _run_sample(instance: Instance[Any, Any], sample: Sample) -> None:
    try:
        instance.run_sample(sample.tensors, sample.rows)
    except Exception as error:
        raise SampleError(sample) from error
