"""One request as the server sees it from its arrival to its answer: what it asks for, and where its time goes."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from server.instance import Reply

# Of a text that a caller chooses, in logs and on pages.
_MOST_CHARACTERS = 128
_NS_PER_MS = 1e6


class Stage(NamedTuple):
    """A part of a request's way, `time.monotonic_ns` from start to end; several may lie side by side."""

    name: str  # "decode", "queue" or "compute"
    started_ns: int
    ended_ns: int
    model: str
    reply: Reply[Any] | None = None


class Failure(NamedTuple):
    """Why a request failed: a gRPC code's name, the reason by which it is counted, and what the caller is told.

    Not the exception, whose trace knows of all that was at work, the request's data among it.
    """

    code: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where a request's time went, in milliseconds; the parts add up to the total.

    What goes on side by side, as the images of one request do, counts once: for computing if anything computes, else
    for decoding if anything decodes, else for the queue if anything waits there.
    """

    total_ms: float
    decode_ms: float
    queue_ms: float
    compute_ms: float
    rest_ms: float


class ObservedRequest:
    """What is known of a request while it is answered. It costs little, as every request has one.

    `method` is "service/method"; `peer()` gives the caller's address.
    """

    __slots__ = (
        *("code", "failure", "method", "model", "peer", "request_id", "started_ns", "trace", "version"),
        *("crashes", "decodes", "runs", "waits"),
    )

    def __init__(self, method: str, peer: Callable[[], str] = str) -> None:
        self.method = method
        self.peer = peer
        self.code = "OK"  # its own status: of a call that succeeds some images may have failed
        self.failure: Failure | None = None  # the first thing that went wrong with it, or with a part of it
        self.request_id = ""
        self.model = ""
        self.version = ""
        self.started_ns = time.monotonic_ns()
        self.decodes: list[tuple[str, int, int]] = []
        self.waits: list[tuple[str, int, int]] = []
        self.crashes: list[tuple[str, int, int]] = []
        self.runs: list[tuple[str, Reply[Any]]] = []
        self.trace: Any = None  # what `server.tracing` keeps for it; None where nobody traces it

    def asks(self, request_id: str, model: str, version: str = "") -> None:
        """Tell what the caller calls the request, and for which model it is; texts of the caller's are cut."""
        self.request_id = request_id[:_MOST_CHARACTERS]
        self.model = model[:_MOST_CHARACTERS]
        self.version = version[:_MOST_CHARACTERS]

    def decoded(self, model: str, started_ns: int) -> None:
        """An image for `model` has been decoded, or turned out to be none, since `started_ns`."""
        self.decodes.append((model, started_ns, time.monotonic_ns()))

    def waited(self, model: str, arrived_ns: int, started_ns: int = 0) -> None:
        """It has waited in vain for `model` since `arrived_ns`; if that began, and failed, then at `started_ns`."""
        ended_ns = time.monotonic_ns()
        self.waits.append((model, arrived_ns, started_ns or ended_ns))
        if started_ns:
            self.crashes.append((model, started_ns, ended_ns))

    def ran(self, model: str, reply: Reply[Any]) -> None:
        """It has been executed by `model`, in a batch; an ensemble's request comes here once for each step."""
        self.runs.append((model, reply))

    @property
    def batch_rows(self) -> int:
        """Rows of the batch that it was last in; 0 when it was in none."""
        return self.runs[-1][1].batch_rows if self.runs else 0

    def stages(self) -> Iterator[Stage]:
        """The parts of its way that are known."""
        for model, started_ns, ended_ns in self.decodes:
            yield Stage("decode", started_ns, ended_ns, model)
        for model, started_ns, ended_ns in self.waits:
            yield Stage("queue", started_ns, ended_ns, model)
        for model, started_ns, ended_ns in self.crashes:
            yield Stage("compute", started_ns, ended_ns, model)
        for model, reply in self.runs:
            execution = reply.execution
            yield Stage("queue", reply.arrived_ns, execution.started_ns, model)
            yield Stage("compute", execution.started_ns, execution.finished_ns, model, reply)

    def breakdown(self, ended_ns: int) -> Breakdown:
        """Where its time went until `ended_ns`."""
        spans: list[tuple[int, int]] = []
        parts = {}
        for name in ("compute", "decode", "queue"):
            before = _covered_ns(spans)
            spans += [(stage.started_ns, stage.ended_ns) for stage in self.stages() if stage.name == name]
            parts[name] = (_covered_ns(spans) - before) / _NS_PER_MS
        total = (ended_ns - self.started_ns) / _NS_PER_MS
        rest = max(0.0, total - sum(parts.values()))
        return Breakdown(total, parts["decode"], parts["queue"], parts["compute"], rest)


def _covered_ns(spans: Iterable[tuple[int, int]]) -> int:
    """How long at least one of `spans` lasts."""
    covered = reached = 0
    for started, ended in sorted(spans):
        covered += max(0, ended - max(started, reached))
        reached = max(reached, ended)
    return covered


_current: ContextVar[ObservedRequest | None] = ContextVar("observed_request", default=None)
set_current = _current.set


def current() -> ObservedRequest:
    """The request that this task works for; where none is observed, one that nobody asks about."""
    return _current.get() or ObservedRequest("")
