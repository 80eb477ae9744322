"""One run under load and everything that is needed to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.server_statistics import ServerSplit
    from loadtest.trace import Trace


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the client's machine did during a run.

    Attributes:
        client_cpu: CPU time of the busiest sender process over the time in which it sent: 1.0 is a whole core.
        steal: Share of the machine's CPU time that its host gave to others; 0 where it is unknown, None where nobody
            looked.
        clock_drift: By how much the wall clock went otherwise than the steady one, relative to the run's time; None
            likewise.
        ceiling_rate: Requests a second that the generator reaches against a server that does nothing; None when it was
            not measured.
    """

    client_cpu: float
    steal: float | None = 0.0
    clock_drift: float | None = 0.0
    ceiling_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run of one schedule or of one closed loop.

    Attributes:
        label: What distinguishes it within its scenario, for example "90 % of the peak".
        trace: Its requests; the warm-up is not among them.
        seconds: For how long requests were due: the schedule's length, not its last instant, or until an interruption.
        conditions: What the client's machine did meanwhile.
        rate: Requests a second that were to be offered; None for a closed loop.
        concurrency: Callers of a closed loop; None for a schedule.
        seed: Of the schedule.
        kinds: Name of each message, by its number in the trace, for example "x4" (a batch of 4) or "bad: no image".
        images: Images in each message, likewise.
        good: Whether each message is good input, likewise; what is not is judged on its own.
        server: What the server says of the same time; None when it gives no statistics.
        server_cpu_ms: CPU time of the server for each request that it answered; None where nobody knows its process.
        warm_up_seconds: How long the load before it took that was discarded.
        judged: Whether its objective decides on the scenario's verdict.
        partial: Whether it was interrupted.
    """

    label: str
    trace: Trace
    seconds: float
    conditions: Conditions
    rate: float | None = None
    concurrency: int | None = None
    seed: int = 0
    kinds: tuple[str, ...] = ("",)
    images: tuple[int, ...] = (1,)
    good: tuple[bool, ...] = (True,)
    server: ServerSplit | None = None
    server_cpu_ms: float | None = None
    warm_up_seconds: float = 0.0
    judged: bool = True
    partial: bool = False
