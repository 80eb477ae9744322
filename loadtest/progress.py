"""What is known of a run while it is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from loadtest.trace import Trace


@dataclass(frozen=True, slots=True)
class Progress:
    """A run that is under way, as those see it who show it.

    Attributes:
        run: Its number in the session, from 0, warm-ups included.
        label: The run's.
        target: The server's address.
        scenario: Its name.
        elapsed_seconds: Since the run's start.
        total_seconds: For how long requests are due.
        rate: Requests a second that are offered; None for a closed loop.
        trace: What has ended so far.
        in_flight: Requests that were sent and have not ended.
        client_cpu: CPU share of the busiest sender since the last look; 1.0 is a whole core.
        outlook: What is known of the whole that the run is part of, for example how long it takes on; may be empty.
    """

    run: int
    label: str
    target: str
    scenario: str
    elapsed_seconds: float
    total_seconds: float
    rate: float | None
    trace: Trace
    in_flight: int
    client_cpu: float
    outlook: str = ""


Observer: TypeAlias = Callable[[Progress], None]
"""Is told twice a second."""
