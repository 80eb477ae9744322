"""The generator measured by itself: what it reports of a server that does nothing, and how much it can send."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadtest.address import Address
from loadtest.payloads import check
from loadtest.percentiles import quantile
from loadtest.sender import SenderSettings
from loadtest.senders import Senders
from loadtest.server_process import listening
from loadtest.target import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.options import Options
    from loadtest.workload import Workload

SHARE_OF_CEILING = 0.5  # beyond which the generator does not believe itself
_SECONDS = 1.5
_CALLERS = 32  # of each process


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the generator reaches here against a server that answers at once.

    Attributes:
        floor_ms: Median latency that a lone caller sees: no server can be measured to be faster.
        floor_p99_ms: The 99th percentile of the same.
        ceiling_rate: Requests a second of this payload, with the null server on the same machine.
    """

    floor_ms: float
    floor_p99_ms: float
    ceiling_rate: float

    @property
    def most_rate(self) -> float:
        """The highest rate that the generator reports on."""
        return SHARE_OF_CEILING * self.ceiling_rate


def calibrate(workload: Workload, options: Options) -> Calibration:
    """Send the workload, without TLS, to a null server that is started for it, by one caller and then by many.

    Raises:
        TargetError: The null server does not start or does not take the payload.
    """
    with null_server("--any-input") as url:
        address = Address(url)
        check(address, workload)
        settings = SenderSettings(
            address, workload.messages, most_in_flight=_CALLERS * options.processes, cpus=options.cpus
        )
        with Senders(settings, options.processes) as senders:
            senders.closed_loop(_CALLERS, _SECONDS / 3, _undisturbed)  # connections and buffers grow
            lone = senders.closed_loop(1, _SECONDS, _undisturbed).trace
            many = senders.closed_loop(_CALLERS * options.processes, _SECONDS, _undisturbed).trace
    waits = np.sort(lone.done - lone.due)
    rate = len(many) / max(_SECONDS, float(np.nanmax(many.done, initial=0.0)))
    return Calibration(quantile(waits, 0.5) * 1e3, quantile(waits, 0.99) * 1e3, rate)


def _undisturbed(_rows: object, _elapsed: float) -> bool:
    return True


@contextlib.contextmanager
def null_server(*arguments: str) -> Iterator[str]:
    """A null server with these arguments, as long as this lasts; gives its address.

    Raises:
        TargetError: It does not start.
    """
    with contextlib.ExitStack() as stack:
        try:
            served = stack.enter_context(listening("loadtest.null_server", *arguments))
        except RuntimeError as error:
            raise TargetError(f"the null server: {error}") from error
        yield served.url
