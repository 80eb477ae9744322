"""The process that sends: requests leave when they are due, whether or not earlier ones have been answered.

Peers take the time of a request from its sending. When a server stalls, their callers wait politely, and the stall is
one slow request ("coordinated omission", as the author of wrk2 calls it). Here callers are independent, as in MLPerf's
Server scenario: a stall is as many slow requests as were due meanwhile. Schroeder, Wierman and Harchol-Balter, "Open
Versus Closed: A Cautionary Tale" (NSDI 2006), tell how far apart the two lie.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import numpy as np

from loadtest import event_loop
from loadtest.answers import judge, judge_refusal
from loadtest.termination import SIGNALS
from loadtest.trace import DROPPED, OUTCOME, ROW

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from multiprocessing.connection import Connection
    from pathlib import Path
    from typing import Any

    from loadtest.address import Address
    from loadtest.workload import Message

_REFUSED_CALLER_WAITS_SECONDS = 0.01  # in a closed loop, so that refusals do not become a busy loop
_DRAIN_AFTER_STOP_SECONDS = 2.0
_LEAST_SECONDS_FOR_CPU = 0.5  # in less, a moment's work looks like a busy core


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """What a sender is told once.

    Attributes:
        address: Of the server.
        messages: To be sent in turn.
        deadline_seconds: Of each call.
        most_in_flight: Calls of this process; one that is due beyond that is dropped.
        compare_every: Of how many answers one is held against the answer at rest; 0 for none.
        cpus: Cores that the process is bound to; empty for all.
    """

    address: Address
    messages: tuple[Message, ...]
    deadline_seconds: float = 10.0
    most_in_flight: int = 500
    compare_every: int = 0
    cpus: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    """A run for a sender to do.

    Attributes:
        file: Of the run's rows; this sender's are `first`, `first` + `every`, ...
        count: Rows in the file.
        start: The run's beginning on the clock of `time.perf_counter`, which all processes share.
        seconds: Closed loop only: for how long its callers go on.
        callers: Closed loop only: how many callers send their next request when their last one has ended; 0 for the
            open loop, whose instants are in the rows.
    """

    file: Path
    count: int
    first: int
    every: int
    start: float
    seconds: float = 0.0
    callers: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a sender says when its run has ended.

    Attributes:
        cpu: Its share of a core until the last request left: who only waits for answers is idle.
        steady_seconds: The run's time, the wait for the last answers included.
        wall_seconds: The same by the wall clock.
        stopped: Whether the run was cut short.
    """

    cpu: float
    steady_seconds: float
    wall_seconds: float
    stopped: bool


def main(settings: SenderSettings, connection: Connection) -> None:
    """Carry out each `Order` that comes over `connection`, answer it with a `Report`, until the connection closes."""
    for number in SIGNALS:  # the parent says what comes of them
        signal.signal(number, signal.SIG_IGN)
    if settings.cpus:
        os.sched_setaffinity(0, settings.cpus)
    gc.freeze()  # the messages are here to stay
    event_loop.run(_Sender(settings, connection).serve())


class _Sender:
    def __init__(self, settings: SenderSettings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._stopped = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Warm the connection, then take orders until there is nobody to give them."""
        inbox: asyncio.Queue[Order | None] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._receive, inbox)
        async with self._settings.address.async_load_channel() as channel:
            self._calls = {
                method: channel.unary_unary(method, request_serializer=None, response_deserializer=None)
                for method in {message.method for message in self._settings.messages}
            }
            await self._unless_stopped(channel.channel_ready())
            if not self._stopped.is_set():
                self._connection.send(None)
            while order := await inbox.get():
                report = await self._carry_out(order)
                with contextlib.suppress(OSError):  # nobody may be there to hear it
                    self._connection.send(report)

    def _receive(self, inbox: asyncio.Queue[Order | None]) -> None:
        """An order is for the inbox, `None` ends the run that is under way, and a closed connection ends all."""
        try:
            order: Order | None = self._connection.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._stopped.set()
            inbox.put_nowait(None)
            return
        if order is None:
            self._stopped.set()
        else:
            self._stopped.clear()
            inbox.put_nowait(order)

    async def _carry_out(self, order: Order) -> Report:
        rows = np.asarray(np.memmap(order.file, ROW, "r+", shape=(order.count,)))
        run = _Rows(self._settings, self._calls, rows, order)
        await _until(order.start)
        cpu, steady, wall = time.process_time(), time.perf_counter(), time.time()
        loop = self._closed_loop(run, order) if order.callers else self._open_loop(run, order)
        await self._unless_stopped(loop)
        share = (time.process_time() - cpu) / max(time.perf_counter() - steady, _LEAST_SECONDS_FOR_CPU)
        await self._drain()
        return Report(share, time.perf_counter() - steady, time.time() - wall, self._stopped.is_set())

    async def _unless_stopped(self, loop: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(loop), asyncio.create_task(self._stopped.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self) -> None:
        """Wait for what is in flight: until each deadline, or not for long after a stop."""
        stopped = asyncio.create_task(self._stopped.wait())
        while self._under_way and not stopped.done():
            await asyncio.wait({stopped, *self._under_way}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_DRAIN_AFTER_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _open_loop(self, run: _Rows, order: Order) -> None:
        for number in range(order.first, order.count, order.every):
            await _until(order.start + run.due[number])
            if len(self._under_way) < self._settings.most_in_flight:
                self._begin(run.send(number))
            else:
                run.outcome[number] = OUTCOME[DROPPED]

    async def _closed_loop(self, run: _Rows, order: Order) -> None:
        numbers = iter(range(order.first, order.count, order.every))

        async def caller() -> None:
            while (now := time.perf_counter() - order.start) < order.seconds and not self._stopped.is_set():
                if (number := next(numbers, None)) is None:
                    return
                run.due[number] = now
                await run.send(number)
                if run.outcome[number] != OUTCOME["OK"]:
                    await asyncio.sleep(_REFUSED_CALLER_WAITS_SECONDS)

        for _ in range(order.callers):
            self._begin(caller())
        await asyncio.wait(self._under_way)  # whose end, unlike that of a gather, ends none of them

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


class _Rows:
    """The rows of a run as columns to write to, and how to send one of them."""

    def __init__(self, settings: SenderSettings, calls: dict[str, Any], rows: Any, order: Order) -> None:
        self._settings = settings
        self._calls = calls
        self._start = order.start
        self.due, self._sent, self._done = rows["due"], rows["sent"], rows["done"]
        self._message, self.outcome = rows["message"], rows["outcome"]

    async def send(self, number: int) -> None:
        """Send the message whose turn it is, and write down when it left, when it ended and how."""
        settings = self._settings
        index = number % len(settings.messages)
        message = settings.messages[index]
        self._message[number] = index
        # In the next round through the messages, others of them.
        turn = number + number // len(settings.messages)
        compare = bool(settings.compare_every) and turn % settings.compare_every == 0
        outcome = "CANCELLED"
        self._sent[number] = time.perf_counter() - self._start
        try:
            reply = await self._calls[message.method](message.body, timeout=settings.deadline_seconds)
            self._done[number] = time.perf_counter() - self._start
            outcome = judge(message, reply, compare=compare)
        except grpc.aio.AioRpcError as error:
            self._done[number] = time.perf_counter() - self._start
            outcome = judge_refusal(message, error.code().name)
        finally:
            if np.isnan(self._done[number]):
                self._done[number] = time.perf_counter() - self._start
            self.outcome[number] = OUTCOME[outcome]


async def _until(instant: float) -> None:
    """Sleep until `instant`; at once, but not without looking for answers, when that is over."""
    await asyncio.sleep(max(0.0, instant - time.perf_counter()))
