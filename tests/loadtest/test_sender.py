"""What a sender tells of itself, on clocks that the tests move."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from loadtest import sender
from loadtest.address import Address
from loadtest.sender import Order, SenderSettings
from loadtest.trace import shared_rows

if TYPE_CHECKING:
    import pytest


@dataclass
class Clocks:
    """Stands for the module `time`."""

    seconds: float = 0.0
    used: float = 0.0

    def pass_by(self, seconds: float, cpu: float) -> None:
        """Let `seconds` pass in which the process uses `cpu` of a core."""
        self.seconds += seconds
        self.used += seconds * cpu

    def perf_counter(self) -> float:
        """The steady clock."""
        return self.seconds

    def time(self) -> float:
        """The wall clock."""
        return self.seconds

    def process_time(self) -> float:
        """What the process has used."""
        return self.used


def test_a_busy_sender_is_busy_however_long_it_waits_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its share of a core is that of the time in which it sent; its clocks are compared over all of the run."""
    clocks = Clocks()

    async def send(*_arguments: object) -> None:
        clocks.pass_by(5.0, cpu=0.9)

    async def wait(*_arguments: object) -> None:
        clocks.pass_by(10.0, cpu=0.0)

    monkeypatch.setattr(sender, "time", clocks)
    monkeypatch.setattr("loadtest.sender._Sender._open_loop", send)
    monkeypatch.setattr("loadtest.sender._Sender._drain", wait)
    with shared_rows(1) as (_, file):
        busy = sender._Sender(SenderSettings(Address("127.0.0.1:1"), ()), Pipe()[0])
        busy._calls = {}
        report = asyncio.run(busy._carry_out(Order(file, 1, 0, 1, 0.0)))

    assert report.cpu == 0.9
    assert (report.steady_seconds, report.wall_seconds) == (15.0, 15.0)
