from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching import Batcher
from server.model_warmup import Sample
from server.request_queue import BatchingPolicy
from server.warm_up import SampleError, measured_sizes
from tests.server.workshop import Workshop, WorkshopInstance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.workshop import Clock


def _start(
    workshop: Workshop, max_rows: int, instances: int = 1, samples: tuple[Sample, ...] = ()
) -> Batcher[str, str]:
    workers = [WorkshopInstance(workshop, number) for number in range(instances)]
    batcher = Batcher("model", workers, BatchingPolicy(max_rows), lambda _rows, _execution: None, samples)
    batcher.start()
    batcher.close()


@given(st.integers(1, 4096))
def test_few_sizes_are_measured(max_rows: int) -> None:
    """One and the largest are among them, neighbours differ by half at most, and their number hardly grows."""
    sizes = measured_sizes(max_rows)
    assert sizes == sorted(set(sizes))
    assert (sizes[0], sizes[-1]) == (1, max_rows)
    assert all(larger <= max(smaller + 1, 1.5 * smaller) for smaller, larger in itertools.pairwise(sizes))
    assert len(sizes) <= 8 + 2 * max_rows.bit_length()
    assert sum(sizes) <= 5 * max_rows + 36  # not its square


@pytest.mark.parametrize(
    ("seconds", "familiar"),
    [
        (lambda rows: rows, 8),  # nothing is gained by merging: larger batches are those of single requests
        (lambda rows: max(rows, 24) ** 2.0, 24),
        (lambda _rows: 1.0, 32),
    ],
)
def test_sizes_that_batches_will_have_are_familiar(
    clock: Clock, seconds: Callable[[int], float], familiar: int
) -> None:
    """Batches grow to the cheapest size and no further: each size up to there is run on each instance."""
    workshop = Workshop(clock, seconds)
    _start(workshop, 100, instances=2)
    assert set(workshop.warmed) == {
        (number, rows) for number in range(2) for rows in {*range(1, familiar + 1), *measured_sizes(100)}
    }


def test_what_is_quick_is_measured_more_often(clock: Clock) -> None:
    """A long run says as much as several short ones."""
    workshop = Workshop(clock, lambda rows: 0.01 if rows == 1 else 1.0)
    _start(workshop, 2)
    assert [rows for _, rows in workshop.warmed] == [1, 1, 1, 2, 2]


def test_samples_run_on_every_instance_as_often_as_they_say(clock: Clock) -> None:
    """Each instance answers each sample before the batcher is ready."""
    workshop = Workshop(clock, lambda _rows: 1.0)
    samples = (Sample(0, "a", (np.zeros(1),), 2, 1), Sample(1, "b", (np.zeros(1),), 3, 2))
    _start(workshop, 4, 2, samples)
    assert sorted(workshop.samples) == [(number, rows) for number in range(2) for rows in (2, 3, 3)]


def test_a_sample_that_fails_is_named(clock: Clock) -> None:
    """The batcher does not start, and leaves no thread."""
    before = threading.active_count()
    sample = Sample(3, "cold", (np.full(1, -1),), 1, 1)
    with pytest.raises(SampleError, match="failed to run warmup sample 'cold'") as raised:
        _start(Workshop(clock, lambda _rows: 1.0), 1, 1, (sample,))
    assert raised.value.sample is sample
    assert str(raised.value.__cause__) == "a negative sample"
    assert threading.active_count() == before
