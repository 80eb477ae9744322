"""How load is sent, whatever it is and wherever it goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How to send.

    Attributes:
        processes: That send; more than one only where one is too slow.
        deadline_seconds: Of each call.
        most_in_flight: Calls; one that is due beyond that is dropped.
        compare_every: Of how many answers one is held against the answer at rest; 0 for none.
        cpus: Cores that the senders are bound to; empty for all.
        server_pid: The server's process, if its CPU time is to be told or it is to be bound, too.
        server_cpus: Cores that it is bound to.
        warm_up_seconds: The longest warm-up; 0 for none.
        ceiling_rate: What the generator reaches against a server that does nothing; None when it was not measured.
    """

    processes: int = 1
    deadline_seconds: float = 10.0
    most_in_flight: int = 500
    compare_every: int = 0
    cpus: frozenset[int] = frozenset()
    server_pid: int | None = None
    server_cpus: frozenset[int] = frozenset()
    warm_up_seconds: float = 30.0
    ceiling_rate: float | None = None
