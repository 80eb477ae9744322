"""What the batcher needs of an instance, the executor of a model, and what an instance gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Payload_contra = TypeVar("Payload_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(slots=True, eq=False)  # not frozen, which would make making one several times as dear
class Execution(Generic[Result_co]):
    """What one run of a batch gave, and when its three parts ended (`time.monotonic_ns`).

    `request_traces` are the traces that its requests came with; `batch_trace` is for whoever makes one of the batch.
    """

    results: Sequence[Result_co]
    started_ns: int
    input_ready_ns: int
    computed_ns: int
    finished_ns: int
    request_traces: Sequence[Any] = ()
    batch_trace: Any = None


class Instance(Protocol[Payload_contra, Result_co]):
    """One executor of a model, used by one thread alone."""

    def open(self) -> None:
        """Prepare this thread: called first, in the thread that will run the batches."""

    def warm_up(self, rows: int) -> bool:
        """Run a batch of `rows` rows that nobody asked for; whether it was answered as one that somebody asks for."""

    def run_sample(self, tensors: Sequence[NDArray[Any]], rows: int) -> None:
        """Answer a batch of `rows` requests that are all alike, of one row each; raises where one of them fails.

        `tensors` are the inputs in the order of config.pbtxt: [1, *dims], or [*dims] where the model does not batch.
        """

    def run(self, payloads: Sequence[Payload_contra], rows: Sequence[int]) -> Execution[Result_co]:
        """Run one batch; `payloads[i]` has `rows[i]` rows, `results[i]` answers it."""

    def close(self) -> None:
        """Give up what the instance holds: called last, in the thread that ran the batches, opened or not."""


@dataclass(slots=True, eq=False)
class Reply(Generic[Result_co]):
    """One request's answer and the batch that gave it."""

    result: Result_co
    arrived_ns: int
    batch_rows: int
    execution: Execution[Result_co]
