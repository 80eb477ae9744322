"""Sends a schedule's requests over gRPC and takes the time of each from the instant at which it was due.

Peers time from the moment of sending: when a server stalls, their callers wait politely and the stall is one slow
request. Here the callers are independent, so a stall is as many slow requests as were due meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_CHANNEL_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: serialised requests, in turn, to a method of a server.

    `judge` looks at each reply, once its time has been taken, and tells its status: OK, or a gRPC code's name for a
    reply that says that its work failed.
    """

    url: str
    method: str
    messages: Sequence[bytes]
    judge: Callable[[bytes], str] = lambda _reply: "OK"
    deadline_seconds: float = 10.0
    most_in_flight: int = 500


@dataclass(frozen=True, slots=True)
class Trace:
    """One row for each request: instants in seconds since the start of the schedule, and how it ended.

    `sent` and `done` are NaN for a request that was dropped because too many were in flight; `status` is a gRPC code's
    name, or DROPPED.
    """

    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    status: NDArray[np.str_]
    client_cpu: float


async def run(load: Load, due: NDArray[np.float64]) -> Trace:
    """Send one request at each instant of `due` (seconds, ascending) and wait for the last answer.

    Raises:
        grpc.aio.AioRpcError: the very first request, which is sent before the schedule starts, fails.
    """
    sent, done = np.full(len(due), np.nan), np.full(len(due), np.nan)
    status = np.full(len(due), "DROPPED", dtype="<U20")
    async with grpc.aio.insecure_channel(load.url, options=_CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(load.method, request_serializer=None, response_deserializer=None)
        await call(load.messages[0], timeout=load.deadline_seconds)
        under_way: set[asyncio.Task[None]] = set()
        start, cpu = time.perf_counter(), time.process_time()

        async def send(number: int) -> None:
            sent[number] = time.perf_counter() - start
            try:
                reply = await call(load.messages[number % len(load.messages)], timeout=load.deadline_seconds)
                done[number] = time.perf_counter() - start
                status[number] = load.judge(reply)
            except grpc.aio.AioRpcError as error:
                done[number] = time.perf_counter() - start
                status[number] = error.code().name

        for number, instant in enumerate(due):
            await asyncio.sleep(max(0.0, instant - (time.perf_counter() - start)))
            if len(under_way) < load.most_in_flight:
                task = asyncio.create_task(send(number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        client_cpu = (time.process_time() - cpu) / (time.perf_counter() - start)
    return Trace(due, sent, done, status, client_cpu)
